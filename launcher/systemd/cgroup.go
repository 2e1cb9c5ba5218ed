package systemd

import (
	"fmt"
	"os"
	"strings"
)

// Of returns the instance of qlaunch@.service that a process belongs to. It reads the process's cgroup from the
// kernel, which stays correct whatever happens to the user manager.
func Of(pid int) (unit string, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", false
	}
	return inCgroups(string(text))
}

// inCgroups finds the unit in the text of /proc/PID/cgroup (cgroups(7)): lines of HIERARCHY:CONTROLLERS:PATH.
// systemd's hierarchy is the one without controllers, or the one named systemd.
func inCgroups(text string) (unit string, ok bool) {
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 || fields[1] != "" && fields[1] != "name=systemd" {
			continue
		}
		for part := range strings.SplitSeq(fields[2], "/") {
			if strings.HasPrefix(part, "qlaunch@") && strings.HasSuffix(part, ".service") {
				return part, true
			}
		}
	}
	return "", false
}

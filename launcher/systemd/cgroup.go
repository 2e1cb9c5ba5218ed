package systemd

import (
	"fmt"
	"os"
	"strings"
)

// Of gives the unit of the template qlaunch@.service that a process belongs to.
// The kernel is asked, not the manager: a process keeps its cgroup whatever becomes of that.
func Of(pid int) (unit string, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", false
	}
	return inCgroups(string(text))
}

// inCgroups finds the unit in the text of cgroups(7), "/proc/pid/cgroup": lines
// of HIERARCHY:CONTROLLERS:PATH. systemd's own hierarchy is the one without
// controllers, or the one of that name.
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

package e2e

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"strings"

	"al.essio.dev/pkg/shellescape"
)

// process is one of the world's.
type process struct {
	pid  int
	name string // as the kernel has it: at most 15 bytes
}

// processes are the world's, by pid, without process 1, dnsmasq and this one: the
// user's, and what runs for the user with another's rights.
func processes() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var list []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == 1 || pid == os.Getpid() {
			continue
		}
		comm, err := os.ReadFile("/proc/" + entry.Name() + "/comm")
		name := strings.TrimSpace(string(comm))
		if err == nil && name != "dnsmasq" { // an error means that it has ended
			list = append(list, process{pid, name})
		}
	}
	slices.SortFunc(list, func(a, b process) int { return cmp.Compare(a.pid, b.pid) })
	return list
}

// commandLine is how the process was started, for a shell.
func (p process) commandLine() string {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/cmdline")
	if err != nil {
		return err.Error()
	}
	return shellescape.QuoteCommand(strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00"))
}

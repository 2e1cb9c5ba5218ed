//go:build host

package host

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// caller is the variable by which the test knows that it is the process to be killed.
const caller = "QLAUNCH_HOST_CALLER"

func TestNothingOutlivesTheCaller(t *testing.T) {
	if os.Getenv(caller) != "" {
		call(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), caller+"=1")
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var dir, group string
	for lines := bufio.NewScanner(output); group == "" && lines.Scan(); {
		if line, ok := strings.CutPrefix(lines.Text(), "place: "); ok {
			dir, group, _ = strings.Cut(line, " ")
		}
	}
	if group == "" {
		t.Fatal("no host:", cmd.Wait())
	}
	empty := emptied(t, group)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	select {
	case <-empty:
	case <-time.After(time.Minute):
		t.Fatal("processes are left in", group)
	}

	// What was left of files is removed by the next.
	cache := filepath.Dir(dir)
	p, err := newPlace(cache)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, group} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	if err := p.remove(); err != nil {
		t.Error(err)
	}
}

// call makes a host and says where, and does not end.
func call(t *testing.T) {
	h, err := Start(t.Context(), Releases()[0], "build")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(os.Stdout, "place: "+h.place.dir+" "+h.place.cgroup+"\n")
	time.Sleep(time.Hour) // the deadline of whoever has forgotten to kill it
}

// emptied is closed when no process is left in a cgroup.
func emptied(t *testing.T, group string) <-chan struct{} {
	t.Helper()
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watch.Close() })
	events := filepath.Join(group, "cgroup.events")
	if err := watch.Add(events); err != nil {
		t.Fatal(err)
	}
	empty := make(chan struct{})
	go func() { // until the watch is closed
		for range watch.Events {
			text, err := os.ReadFile(events)
			if err != nil || strings.Contains(string(text), "populated 0") {
				close(empty)
				return
			}
		}
	}()
	return empty
}

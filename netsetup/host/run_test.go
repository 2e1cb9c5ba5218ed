package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestWhoHoldsACommandsOutputHoldsNothingUp(t *testing.T) {
	out, err := run(t.Context(), "", "sh", "-c", "sleep 1000 & echo $!")
	must(t, err)
	left, err := strconv.Atoi(strings.TrimSpace(out))
	must(t, err)
	must(t, unix.Kill(left, unix.SIGKILL)) // and it was left alone
}

func TestACommandThatHangsGoesWithAllItsOwn(t *testing.T) {
	note := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := run(ctx, "", "sh", "-c", `sleep 1000 & echo $! >"$0.new" && mv "$0.new" "$0"; wait`, note)
		ended <- err
	}()
	var left int
	within(t, "what it had started has not begun", func() bool {
		text, err := os.ReadFile(note)
		left, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	within(t, "what it had started runs on", func() bool { return !alive(left) })
}

// within waits until something is so.
func within(t *testing.T, otherwise string, so func() bool) {
	t.Helper()
	for begin := time.Now(); !so(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal(otherwise)
		}
	}
}

// alive says whether a process runs: one that nobody has collected yet does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // PID (COMMAND) STATE …, proc_pid_stat(5)
	_, after, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(after, "Z")
}

// A step that is a command is named once, whichever of its commands fails.
func TestAStepThatFailsNamesItsCommandOnce(t *testing.T) {
	failed := errors.New("exit status 1")
	for _, test := range []struct {
		doing string
		err   error
		want  string
	}{
		{"groupadd --system kvm", &commandError{[]string{"groupadd", "--system", "kvm"}, "is locked", failed},
			"groupadd --system kvm: exit status 1: is locked"},
		{"systemctl enable x && systemctl restart x", &commandError{[]string{"systemctl", "restart", "x"}, "", failed},
			"systemctl enable x && systemctl restart x: exit status 1"},
		{"make the table ip qlaunch", &commandError{[]string{"nft", "-f", "-"}, "", failed}, "make the table ip qlaunch: nft -f -: exit status 1"},
		{"write /a", failed, "write /a: exit status 1"},
	} {
		if got := (&FailedError{Doing: test.doing, Err: test.err}).Error(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

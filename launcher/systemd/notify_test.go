package systemd

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// reads is a manager that reads so many datagrams, and closes what comes with them.
func reads(t *testing.T, socket string, datagrams int) <-chan []string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	all := make(chan []string, 1)
	go func() {
		var texts []string
		for range datagrams {
			data, rights := make([]byte, 4096), make([]byte, 4096)
			n, oobn, _, _, err := conn.ReadMsgUnix(data, rights)
			if err != nil {
				texts = append(texts, err.Error())
				break
			}
			texts = append(texts, string(data[:n]))
			messages, _ := unix.ParseSocketControlMessage(rights[:oobn])
			for _, m := range messages {
				fds, _ := unix.ParseUnixRights(&m)
				for _, fd := range fds {
					_ = unix.Close(fd)
				}
			}
		}
		all <- texts
	}()
	return all
}

func TestTheManagerHasReadWhatItIsTold(t *testing.T) {
	for _, socket := range []string{filepath.Join(t.TempDir(), "notify"), "@qlaunch-test-" + filepath.Base(t.TempDir()) + "-" + time.Now().Format("150405.000000")} {
		heard := reads(t, socket, 2)
		if err := Notify(socket, "MAINPID=12", "READY=1", Status("two\nlines")); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"MAINPID=12\nREADY=1\nSTATUS=two lines", "BARRIER=1"}, <-heard); diff != "" {
			t.Error(diff)
		}
	}
}

func TestNobodyToTellIsNoError(t *testing.T) {
	if err := Notify("", "READY=1"); err != nil {
		t.Error(err)
	}
}

func TestAManagerThatIsGoneIsAnError(t *testing.T) {
	if err := Notify(filepath.Join(t.TempDir(), "nosuch"), "READY=1"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

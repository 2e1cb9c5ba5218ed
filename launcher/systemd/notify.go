package systemd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// notifyDeadline is how long the manager may take to read what it is told.
const notifyDeadline = 5 * time.Second

// Notify tells the manager something of the unit that this process is in:
// assignments such as READY=1 (sd_notify(3)), to the socket that $NOTIFY_SOCKET
// names. Without a socket nobody wants to know.
//
// It returns when the manager has read them: it finds the unit by the sender's
// cgroup, which is gone with a sender that leaves too early. Hence the barrier,
// a pipe that the manager closes when it gets to it.
func Notify(socket string, assignments ...string) error {
	if socket == "" {
		return nil
	}
	// An abstract socket is written with an @ by systemd and by x/sys/unix.
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	defer unix.Close(fd)
	limit := unix.NsecToTimeval(notifyDeadline.Nanoseconds())
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit)
	if err == nil {
		err = unix.Sendmsg(fd, []byte(strings.Join(assignments, "\n")), nil, &unix.SockaddrUnix{Name: socket}, 0)
	}
	if err == nil {
		err = barrier(fd, socket)
	}
	if err != nil {
		return fmt.Errorf("notify %s: %w", socket, err)
	}
	return nil
}

func barrier(fd int, socket string) error {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ours.Close()
	err = unix.Sendmsg(fd, []byte("BARRIER=1"), unix.UnixRights(int(theirs.Fd())), &unix.SockaddrUnix{Name: socket}, 0)
	if err := errors.Join(err, theirs.Close()); err != nil {
		return err
	}
	_ = ours.SetReadDeadline(time.Now().Add(notifyDeadline))
	_, err = ours.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil // its end is what was waited for
}

// Status is the assignment that systemctl shows as the unit's status: one line.
func Status(text string) string {
	return "STATUS=" + strings.Join(strings.Fields(text), " ")
}

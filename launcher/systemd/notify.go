package systemd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// notifyDeadline is how long the manager may take to read a notification.
const notifyDeadline = 5 * time.Second

// Notify sends assignments such as READY=1 (sd_notify(3)) to the manager, about the unit that this process is in.
// socket is the value of $NOTIFY_SOCKET; if it is empty, Notify does nothing.
//
// Notify returns when the manager has read the assignments. The manager finds the unit by the sender's cgroup, and
// loses them if the sender exits too early. So Notify also sends a barrier: a pipe that the manager closes when it
// reads it.
func Notify(socket string, assignments ...string) error {
	if socket == "" {
		return nil
	}
	// Both systemd and x/sys/unix write an abstract socket with an @.
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
	return nil // the manager has closed the pipe
}

// Status returns the assignment of the unit's status, one line, which systemctl shows.
func Status(text string) string {
	return "STATUS=" + strings.Join(strings.Fields(text), " ")
}

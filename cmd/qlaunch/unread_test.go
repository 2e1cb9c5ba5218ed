package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unread is a program: unread PROGRAM ARG… runs another program with a terminal
// that nobody reads, and once that takes no more, sends it SIGTERM until it ends. It
// says whether the terminal is raw meanwhile, and how it is after the first signal.
func unread() {
	control, tty, err := openPTY("80x24")
	fail(err)
	defer control.Close()
	before := settings(tty)
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	fail(cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()

	again(func() bool { return full(tty) })
	fmt.Println("while it writes, the terminal is raw:", settings(tty) != before)
	again(func() bool {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		return settings(tty) == before
	})
	fmt.Println("after SIGTERM it is as before")
	again(func() bool {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	fmt.Println("and it ends")
}

// again tries until something is so: it makes no event.
func again(so func() bool) {
	for end := time.Now().Add(patience); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			fail(errors.New("still not so"))
		}
	}
}

// full tells whether a terminal takes no more.
func full(tty *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(tty.Fd()), Events: unix.POLLOUT}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 0
}

func settings(tty *os.File) unix.Termios {
	now, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	fail(err)
	return *now
}

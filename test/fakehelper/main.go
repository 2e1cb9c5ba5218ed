// Command fakehelper stands in for QEMU's bridge helper where that goes wrong.
// A helper's arguments and environment are not the test's to choose, so what it
// does is the end of its own file's name, behind "helper-":
//
//	no-fd, two-fds, wrong-fd   what it sends over file 3 before it ends well
//	two-fds-late               two messages with a file each
//	eof                        closes file 3, and ends well
//	fd-and-exit-1              sends a file, and fails
//	stops                      stops itself
//	hangs                      waits, with a child in its process group that waits too
//	says                       writes what stands in its own file's name + ".txt" to its stderr, and fails
//	floods                     writes 4 MiB to its stderr, and fails
//	tells                      writes what it was given to its stderr, and fails
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	_, mode, _ := strings.Cut(filepath.Base(os.Args[0]), "helper-")
	code, err := act(mode)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fakehelper:", err)
		code = 9
	}
	os.Exit(code)
}

func act(mode string) (code int, err error) {
	switch mode {
	case "no-fd":
		return 0, nil
	case "eof":
		return 0, unix.Close(3)
	case "wrong-fd":
		return 0, send(0)
	case "two-fds":
		return 0, send(0, 0)
	case "two-fds-late":
		if err := send(0); err != nil {
			return 0, err
		}
		return 0, send(0)
	case "fd-and-exit-1":
		return 1, send(0)
	case "stops":
		return 0, unix.Kill(unix.Getpid(), unix.SIGSTOP)
	case "hangs":
		return 0, exec.CommandContext(context.Background(), "/bin/sleep", "3600").Run() // which stays in this one's group
	case "says":
		text, err := os.ReadFile(os.Args[0] + ".txt")
		if err != nil {
			return 0, err
		}
		_, err = os.Stderr.Write(text)
		return 1, err
	case "floods":
		for range 4 << 10 {
			fmt.Fprintln(os.Stderr, strings.Repeat("x", 1<<10-1))
		}
		return 1, nil
	case "tells":
		return 1, tell()
	}
	return 0, fmt.Errorf("%q: no such manner", mode)
}

func send(fds ...int) error { return unix.Sendmsg(3, []byte{0}, unix.UnixRights(fds...), nil, 0) }

// tell writes what this process was given. Files that are close-on-exec are the Go runtime's own.
func tell() error {
	directory, err := os.Getwd()
	if err != nil {
		return err
	}
	stdin, err := os.Readlink("/proc/self/fd/0")
	if err != nil {
		return err
	}
	environ := slices.DeleteFunc(os.Environ(), func(v string) bool { return v == "GOTRACEBACK=none" }) // Go's own, in what is setuid
	fmt.Fprintf(os.Stderr, "arguments %q\nenvironment %q\ndirectory %s\nstdin %s\nfiles", os.Args[1:], environ, directory, stdin)
	for fd := range 1024 {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			fmt.Fprintf(os.Stderr, " %d", fd)
		}
	}
	_, err = fmt.Fprintf(os.Stderr, "\nleads its group %v\n", unix.Getpgrp() == unix.Getpid())
	return err
}

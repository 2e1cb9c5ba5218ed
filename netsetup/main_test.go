package netsetup

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is also the fake helper and the probe: which, its own file name says, because a helper is run with
// an empty environment and with arguments that are not the test's to choose.
func TestMain(m *testing.M) {
	name := filepath.Base(os.Args[0])
	if mode, ok := strings.CutPrefix(name, "helper-"); ok {
		unix.Exit(fakeHelper(mode)) // os.Exit sleeps for a second in the race detector
	}
	if name == "probe" {
		if len(os.Args) > 3 {
			probeExamination(os.Args[1], os.Args[2], os.Args[3])
			unix.Exit(0)
		}
		probeMain(os.Args[1], os.Args[2])
		unix.Exit(0)
	}
	os.Exit(m.Run())
}

// fakeHelper answers on file 3 as its mode says, and returns its exit status.
func fakeHelper(mode string) int {
	switch mode {
	case "no-fd":
	case "two-fds":
		send(pipeEnd(), pipeEnd())
	case "two-messages":
		send(pipeEnd())
		send(pipeEnd())
	case "many-fds":
		fds := make([]int, 200)
		for i := range fds {
			fds[i] = pipeEnd()
		}
		send(fds...)
	case "wrong-fd":
		send(pipeEnd())
	case "junk":
		unix.Write(3, []byte("no file comes with this"))
	case "fd-and-exit-1":
		send(pipeEnd())
		return 1
	case "hang":
		withChild(nil)
		time.Sleep(time.Hour)
	case "leave-child":
		withChild(os.Stderr)
	case "sleep":
		time.Sleep(time.Hour)
	case "stop":
		unix.Kill(unix.Getpid(), unix.SIGSTOP)
	case "say": // whatever stands in the file beside it
		text, _ := os.ReadFile(os.Args[0] + ".txt")
		os.Stderr.Write(text)
		return 1
	case "flood":
		for range 1 << 10 {
			fmt.Fprintln(os.Stderr, strings.Repeat("x", 1<<10-1))
		}
		return 1
	case "report":
		report()
		return 1
	}
	return 0
}

func send(fds ...int) { unix.Sendmsg(3, []byte{0}, unix.UnixRights(fds...), nil, 0) }

func pipeEnd() int {
	var p [2]int
	unix.Pipe(p[:])
	return p[0]
}

func sibling(name string) string { return filepath.Join(filepath.Dir(os.Args[0]), name) }

// withChild starts a child in the same process group, and lets the FIFO beside it know: both hold it, so its reader sees
// the end of file when both are dead.
func withChild(stderr *os.File) {
	alive, err := os.OpenFile(sibling("alive"), os.O_WRONLY, 0)
	if err != nil {
		unix.Exit(9)
	}
	child := exec.Command(sibling("helper-sleep"))
	child.ExtraFiles = []*os.File{alive}
	child.Stderr = stderr
	if child.Start() != nil {
		unix.Exit(9)
	}
	alive.WriteString(".")
}

// report says what the helper was given. Files that are close-on-exec are the Go runtime's own.
func report() {
	cwd, _ := os.Getwd()
	stdin, _ := os.Readlink("/proc/self/fd/0")
	fmt.Fprintf(os.Stderr, "args %q\nenv %q\ncwd %s\nstdin %s\n", os.Args[1:], os.Environ(), cwd, stdin)
	fmt.Fprintf(os.Stderr, "own group %v\nfiles", unix.Getpgrp() == unix.Getpid())
	for fd := range 1024 {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			fmt.Fprintf(os.Stderr, " %d", fd)
		}
	}
	fmt.Fprintln(os.Stderr)
}

// probeMain is a process with other rights than the test's: it says what the preflight finds, and what the helper does.
func probeMain(helper, bridge string) {
	if err := Check(context.Background(), CheckQuery{Bridge: bridge, Helper: helper}).Err(); err != nil {
		fmt.Println("check:", err)
	} else {
		fmt.Println("check: ok")
	}
	tap, err := OpenTap(context.Background(), helper, bridge)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("tap:", tap.Name)
}

// probeExamination prints the results that depend on who looks.
func probeExamination(helper, bridge, root string) {
	for _, r := range Examine(context.Background(), CheckQuery{Bridge: bridge, Helper: helper, Root: root}).Results {
		if slices.Contains([]string{"group", "group-manager", "forward-policy", "nat"}, r.ID) {
			fmt.Printf("%s %s: %s\n", r.Level, r.ID, r.Evidence)
		}
	}
}

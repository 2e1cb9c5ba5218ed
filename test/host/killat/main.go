// Program killat runs a command, and kills it at its n-th change of what others see:
//
//	killat N COMMAND ARG…
//
// A change is a system call by which the command's own process, whichever of
// its threads it is, makes, fills, moves, removes or gives away a file, talks to
// the kernel's network, or starts another program; strace, which would count
// each thread's calls by themselves, cannot hit them one after the other. The
// call at which it is killed is not made. It is said on standard error, and the
// exit code is 137; when there are less changes than N, their number is said and
// the exit code is the command's.
package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: killat N COMMAND ARG…")
	}
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	runtime.LockOSThread() // the kernel knows the tracer by its thread
	t := tracer{at: n, inside: map[int]bool{}}
	log.Fatal(t.run(os.Args[2:]))
}

// tracer counts the changes that a process makes.
type tracer struct {
	at, count int
	pid       int
	inside    map[int]bool // the threads that are in a system call
}

// run ends this program as the command ends, or gives what went wrong.
func (t *tracer) run(argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // it is killed with its tracer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	t.pid = cmd.Process.Pid
	var status unix.WaitStatus
	if _, err := unix.Wait4(t.pid, &status, 0, nil); err != nil { // stopped at its first instruction
		return err
	}
	// Its threads are followed, the programs that it starts are not.
	if err := unix.PtraceSetOptions(t.pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_EXITKILL); err != nil {
		return err
	}
	return t.follow(t.pid, 0)
}

// follow lets the thread go on, and then whichever stops, until the process ends.
func (t *tracer) follow(thread, signal int) error {
	for {
		// An error means that it was killed meanwhile.
		_ = unix.PtraceSyscall(thread, signal)
		var status unix.WaitStatus
		var err error
		if thread, err = unix.Wait4(-1, &status, unix.WALL, nil); err != nil {
			return err
		}
		signal = 0
		switch {
		case thread == t.pid && (status.Exited() || status.Signaled()):
			t.end(status)
		case !status.Stopped():
		case status.StopSignal() == unix.SIGTRAP|0x80:
			if t.inside[thread] = !t.inside[thread]; t.inside[thread] {
				t.call(thread)
			}
		case status.StopSignal() != unix.SIGTRAP && status.StopSignal() != unix.SIGSTOP:
			signal = int(status.StopSignal())
		}
	}
}

// end ends as the process has.
func (t *tracer) end(status unix.WaitStatus) {
	if status.Signaled() {
		unix.Exit(128 + int(status.Signal()))
	}
	log.Printf("killat: %d changes", t.count)
	unix.Exit(status.ExitStatus())
}

// call looks at the system call that a thread is about to make.
func (t *tracer) call(thread int) {
	var r unix.PtraceRegs
	if unix.PtraceGetRegs(thread, &r) != nil {
		return // killed meanwhile
	}
	name := t.change(&r)
	if name == "" {
		return
	}
	if t.count++; t.count == t.at {
		log.Printf("killat: killed at change %d: %s", t.count, name)
		_ = unix.Kill(t.pid, unix.SIGKILL)
	}
}

// change names the system call, when it changes what others see.
func (t *tracer) change(r *unix.PtraceRegs) string {
	names := map[uint64]string{
		unix.SYS_RENAMEAT: "renameat", unix.SYS_RENAMEAT2: "renameat2", unix.SYS_UNLINKAT: "unlinkat", unix.SYS_MKDIRAT: "mkdirat",
		unix.SYS_LINKAT: "linkat", unix.SYS_SYMLINKAT: "symlinkat", unix.SYS_FTRUNCATE: "ftruncate", unix.SYS_SENDTO: "sendto",
		unix.SYS_FCHMOD: "fchmod", unix.SYS_FCHMODAT: "fchmodat", unix.SYS_FCHOWN: "fchown", unix.SYS_FCHOWNAT: "fchownat",
	}
	switch r.Orig_rax {
	case unix.SYS_OPENAT:
		if r.Rdx&(unix.O_CREAT|unix.O_TRUNC) != 0 {
			return "openat"
		}
	case unix.SYS_WRITE, unix.SYS_PWRITE64:
		if file := t.file(r.Rdi); strings.HasPrefix(file, "/") {
			return "write to " + file
		}
	case unix.SYS_CLONE:
		if r.Rdi&unix.CLONE_THREAD == 0 {
			return "clone"
		}
	}
	return names[r.Orig_rax]
}

// file is what a descriptor of the process leads to.
func (t *tracer) file(fd uint64) string {
	file, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", t.pid, fd))
	return file
}

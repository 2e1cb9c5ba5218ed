// Command qlaunch launches virtual machines on a bridge, without libvirt, a daemon or root: it reads a VM's TOML
// file, gets a tap from QEMU's bridge helper, starts QEMU, and tells the guest's address.
package main

import (
	"context"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/qlaunch/qlaunch/launcher"
)

func main() {
	s, ctx := newSession("/run/user")
	os.Exit(s.main(ctx, os.Args[1:]))
}

// newSession is the only place that touches the process's surroundings. users is the directory where logind makes the
// users' runtime directories. The context ends, with launcher.ErrInterrupted as its cause, by the signals that end a
// command.
func newSession(users string) (*session, context.Context) {
	began := time.Now()
	// A command lives for milliseconds, and is done before a heap of 16 MiB is worth its first collection.
	debug.SetGCPercent(400)
	// QEMU outlives its caller: what that left open, a lock or a pipe that somebody waits for the end of, is not for
	// QEMU to hold (close_range(2), Linux 5.11).
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	signalled, stop := signal.NotifyContext(context.Background(), ends()...)
	ctx, interrupt := context.WithCancelCause(context.Background())
	context.AfterFunc(signalled, func() {
		stop() // a second one ends this process at once, wherever it is held up
		interrupt(launcher.ErrInterrupted)
	})
	executable, _ := os.Executable() // without it, the one command that needs it says so
	s := &session{
		stdin: os.Stdin, ownStdout: os.Stdout, ownStderr: os.Stderr,
		inTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		outTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		errTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		exit:        os.Exit,
		began:       began,
	}
	s.env = launcher.ForUser(ctx, launcher.Env{
		Users: users, Environ: os.Environ(), Executable: executable, Observer: s})
	return s, ctx
}

// ends are the signals that end a command. A Ctrl-C that was to be ignored from the start is not for us: sftp's own,
// which ends a transfer, reaches its ProxyCommand too.
func ends() []os.Signal {
	if signal.Ignored(os.Interrupt) {
		return []os.Signal{syscall.SIGTERM}
	}
	return []os.Signal{os.Interrupt, syscall.SIGTERM}
}

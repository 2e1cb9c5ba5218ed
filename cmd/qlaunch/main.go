// Command qlaunch runs virtual machines on a bridge, without libvirt, a daemon or root: it reads a VM's TOML file,
// gets a tap from QEMU's bridge helper, starts QEMU, and prints the guest's address.
package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/qlaunch/qlaunch/launcher"
)

func main() {
	s, ctx := newSession("/run/user")
	os.Exit(s.main(ctx, os.Args[1:]))
}

// newSession is the only place that reads the process's environment and streams. users is the directory in which
// logind makes the users' runtime directories. The context ends, with launcher.ErrInterrupted as its cause, on the
// signals that end a command.
func newSession(users string) (*session, context.Context) {
	began := time.Now()
	// A command runs for milliseconds, and ends before the first collection of a heap of 16 MiB pays off.
	debug.SetGCPercent(400)
	// QEMU survives its caller, so it must not inherit files that the caller left open, such as a lock, or a pipe
	// whose reader waits for the end (close_range(2), Linux 5.11).
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	signalled, stop := signal.NotifyContext(context.Background(), ends()...)
	ctx, interrupt := context.WithCancelCause(context.Background())
	context.AfterFunc(signalled, func() {
		stop() // a second signal ends this process at once
		interrupt(launcher.ErrInterrupted)
	})
	executable, _ := os.Executable() // the one command that needs it reports an error
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

// ends are the signals that end a command. If Ctrl-C was ignored at the start, it stays ignored: sftp's Ctrl-C, which
// ends a transfer, reaches its ProxyCommand too.
func ends() []os.Signal {
	if signal.Ignored(os.Interrupt) {
		return []os.Signal{syscall.SIGTERM}
	}
	return []os.Signal{os.Interrupt, syscall.SIGTERM}
}

// main runs one command line and returns its exit code.
func (s *session) main(ctx context.Context, argv []string) int {
	flush := s.guard()
	defer flush()
	if slices.Equal(argv, []string{"--version"}) { // as of any other program
		argv = []string{"version"}
	}
	call, verbose, err := s.parse(argv)
	if group := groupAlone(err, argv); group != nil {
		return s.report(group.PrintUsage(false))
	}
	if err != nil {
		// If a value looks like a flag, kong advises to join the two, but no value of ours begins with a dash.
		text, _, _ := strings.Cut(err.Error(), "; perhaps try ")
		return s.report(&usageError{errors.New(text), commandOf(err)})
	}
	s.verbose = verbose
	command := wordsOf(call.Selected())
	if err := s.notBySudo(command, argv); err != nil {
		return s.report(err)
	}
	if err := s.env.Store.Dirs.Check(); err != nil && !ofHost(command) {
		return s.report(fmt.Errorf("%s: %w", command, err))
	}
	call.BindTo(ctx, (*context.Context)(nil))
	return s.report(call.Run())
}

// groupAlone returns the parsed command line if it has only the name of a group of commands and -v, else nil. Such a
// line prints the help of the group, as in docker, gh and kubectl.
func groupAlone(err error, argv []string) *kong.Context {
	wrong, ok := errors.AsType[*kong.ParseError](err)
	if !ok || wrong.Context.Selected() == nil || wrong.Context.Selected().Leaf() {
		return nil
	}
	verbose := func(word string) bool { return word == "-v" || word == "--verbose" }
	words := slices.DeleteFunc(slices.Clone(argv), verbose)
	if len(words) != len(strings.Fields(wordsOf(wrong.Context.Selected()))) {
		return nil
	}
	return wrong.Context
}

// wordsOf returns the words of a command after qlaunch, including those of its group.
func wordsOf(command *kong.Node) string {
	if command.Parent == nil || command.Parent.Type == kong.ApplicationNode {
		return command.Name
	}
	return wordsOf(command.Parent) + " " + command.Name
}

// commandOf returns the command that was recognised in an invalid command line.
func commandOf(err error) string {
	wrong, ok := errors.AsType[*kong.ParseError](err)
	if !ok || wrong.Context.Selected() == nil {
		return ""
	}
	return wordsOf(wrong.Context.Selected())
}

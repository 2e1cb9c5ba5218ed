// Package launcher starts, finds, watches and ends virtual machines: each command of qlaunch that is about a VM is a
// function here, which takes a request and returns a result.
//
// A VM that runs is a process of QEMU, and there is no daemon beside it: each function asks the kernel, QEMU and the
// DHCP server's leases about the VM when it is called. So any number of programs can use this package at the same
// time, and none of them has to keep running.
//
// The package writes to no terminal. What a user should be told besides a result goes to the [Observer] of the [Env].
// An error that has a cure of its own is a type, so that a caller can name the cure.
package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// Env is what the package knows of its caller. [ForUser] makes one.
type Env struct {
	Store      vms.Store                   // the definitions, and where the files of a VM lie
	Root       string                      // where the host's files are looked for: "/" but in tests
	Users      string                      // the directory in which logind makes the users' runtime directories
	Environ    []string                    // the environment of the programs that are run
	Executable string                      // the path of qlaunch, which ssh and systemd call; may be empty
	QEMUs      func() ([]qemu.QEMU, error) // the QEMUs of this user that run
	Observer   Observer                    // nil: nobody
}

// ForUser completes an Env for the user of this process. It finds the user's directories, as the XDG base directory
// specification has them, by the variables of e.Environ, and replaces e.Store; the zero Root, Users and QEMUs become
// those of this host.
func ForUser(ctx context.Context, e Env) *Env {
	e.Root, e.Users = cmp.Or(e.Root, "/"), cmp.Or(e.Users, "/run/user")
	if e.QEMUs == nil {
		e.QEMUs = qemu.QEMUs
	}
	uid := os.Getuid()
	// Without a home directory, ~/ and the defaults below it are refused where they are used.
	home := findHome(ctx, e.getenv("HOME"), uid)
	dirs := vms.FindDirs(vms.Surroundings{Getenv: e.getenv, Home: home, UID: uid, Tmp: os.TempDir(), Users: e.Users})
	machineID, _ := os.ReadFile("/etc/machine-id") // without one, MACs are stable all the same
	e.Store = vms.Store{
		Dirs:      dirs,
		Home:      home,
		Arch:      map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH],
		MachineID: strings.TrimSpace(string(machineID)),
		UID:       uid,
	}
	return &e
}

// Observer is told what happens while a function works. Its methods can be called by several goroutines at once.
type Observer interface {
	// Notice is called with a sentence for the user that is not an error. It may hold text from a guest.
	Notice(text string)
	// Command is called with the command line of each program before that runs.
	Command(argv []string)
}

// notice tells the observer a sentence.
func (e *Env) notice(format string, values ...any) {
	if e.Observer != nil {
		e.Observer.Notice(fmt.Sprintf(format, values...))
	}
}

// command shows the observer a command line.
func (e *Env) command(argv []string) {
	if e.Observer != nil {
		e.Observer.Command(argv)
	}
}

// getenv gives a variable of the caller's environment, and "" where it is not set.
func (e *Env) getenv(name string) string {
	for _, variable := range e.Environ {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

// with gives an Env in which the QEMUs are the given ones, so that they are not looked for again for each VM.
func (e *Env) with(qemus []qemu.QEMU) *Env {
	own := *e
	own.QEMUs = func() ([]qemu.QEMU, error) { return qemus, nil }
	return &own
}

// ErrInterrupted is the error of a function whose context was canceled. A caller that cancels with it as the cause
// (context.WithCancelCause) gets it from everything that it interrupts.
var ErrInterrupted = errors.New("interrupted")

// orInterrupted replaces the error of an interrupted function by ErrInterrupted: where it was interrupted is of no use.
func orInterrupted(err error) error {
	if errors.Is(err, ErrInterrupted) || errors.Is(err, context.Canceled) {
		return ErrInterrupted
	}
	return err
}

// TimeoutError is the text of a deadline that has passed, and says what is still so. It is context.DeadlineExceeded.
type TimeoutError string

func (e TimeoutError) Error() string { return string(e) }

// Is reports whether target is context.DeadlineExceeded.
func (TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

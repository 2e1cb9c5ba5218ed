// Package launcher starts, finds, monitors and ends virtual machines. Each command of qlaunch that is about a VM is a
// function here, which takes a request and returns a result.
//
// A running VM is a QEMU process without a daemon: each function queries the kernel, QEMU and the DHCP server's
// leases when it is called. So any number of programs can use this package at the same time, and none of them has to
// keep running.
//
// The package does not write to the terminal. Messages for the user that are not results go to the [Observer] of the
// [Env]. An error with a remedy of its own has its own type, so that a caller can print the remedy.
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

// Env is the environment in which the package works. [ForUser] makes one.
type Env struct {
	Store      vms.Store                   // the definitions and the VMs' directories
	Root       string                      // the root of the host's files: "/" except in tests
	Users      string                      // the directory in which logind makes the users' runtime directories
	Environ    []string                    // the environment of programs that the package runs
	Executable string                      // the path of qlaunch, for ssh and systemd; may be empty
	QEMUs      func() ([]qemu.QEMU, error) // returns the running QEMUs of this user
	Observer   Observer                    // may be nil
}

// ForUser completes an Env for the user of this process. It sets e.Store to the user's directories, as the XDG Base
// Directory Specification defines them, from the variables in e.Environ. Zero values of Root, Users and QEMUs become
// those of this host.
func ForUser(ctx context.Context, e Env) *Env {
	e.Root, e.Users = cmp.Or(e.Root, "/"), cmp.Or(e.Users, "/run/user")
	if e.QEMUs == nil {
		e.QEMUs = qemu.QEMUs
	}
	uid := os.Getuid()
	// Without a home directory, an error occurs only where it would be used.
	home := findHome(ctx, e.getenv("HOME"), uid)
	dirs := vms.FindDirs(vms.Surroundings{Getenv: e.getenv, Home: home, UID: uid, Tmp: os.TempDir(), Users: e.Users})
	machineID, _ := os.ReadFile("/etc/machine-id") // without it, MACs are still stable
	e.Store = vms.Store{
		Dirs:      dirs,
		Home:      home,
		Arch:      map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH],
		MachineID: strings.TrimSpace(string(machineID)),
		UID:       uid,
	}
	return &e
}

// Observer receives what happens while a function works. Its methods may be called by several goroutines at once.
type Observer interface {
	// Notice is called with a sentence for the user that is not an error. It may contain text from a guest.
	Notice(text string)
	// Command is called with the command line of each program before the program runs.
	Command(argv []string)
}

// notice sends a sentence to the observer.
func (e *Env) notice(format string, values ...any) {
	if e.Observer != nil {
		e.Observer.Notice(fmt.Sprintf(format, values...))
	}
}

// command sends a command line to the observer.
func (e *Env) command(argv []string) {
	if e.Observer != nil {
		e.Observer.Command(argv)
	}
}

// getenv returns a variable of the caller's environment, or "" if it is not set.
func (e *Env) getenv(name string) string {
	for _, variable := range e.Environ {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

// with returns an Env with a fixed list of QEMUs, so that they are not searched for again for each VM.
func (e *Env) with(qemus []qemu.QEMU) *Env {
	own := *e
	own.QEMUs = func() ([]qemu.QEMU, error) { return qemus, nil }
	return &own
}

// ErrInterrupted is the error of a function whose context was canceled. A caller that cancels with it as the cause
// (context.WithCancelCause) gets it from every function that it interrupts.
var ErrInterrupted = errors.New("interrupted")

// orInterrupted returns ErrInterrupted for the error of an interrupted function, since the point of interruption does
// not matter.
func orInterrupted(err error) error {
	if errors.Is(err, ErrInterrupted) || errors.Is(err, context.Canceled) {
		return ErrInterrupted
	}
	return err
}

// TimeoutError is the text of an error for a deadline that has passed, with what is still true. It matches
// context.DeadlineExceeded.
type TimeoutError string

func (e TimeoutError) Error() string { return string(e) }

// Is reports whether target is context.DeadlineExceeded.
func (TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

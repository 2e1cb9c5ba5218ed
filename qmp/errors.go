package qmp

import (
	"errors"
	"fmt"
)

// What a caller may have to tell apart, with errors.Is.
var (
	// ErrNoGreeting means that the socket took the connection and QEMU said nothing: it serves one client at a
	// time, and it serves none while it is stopped.
	ErrNoGreeting = errors.New("no greeting: another client holds the monitor, or QEMU is stopped")
	// ErrClosed means that Close was called.
	ErrClosed = errors.New("closed")
	// ErrEnded means that QEMU's side of the connection is gone, mostly because QEMU is.
	ErrEnded = errors.New("connection ended")

	errCutOff = errors.New("closed, because a request could not be sent to its end")
)

// failure says what was being done to which socket; its cause is for errors.Is.
type failure struct {
	path  string
	doing string
	cause error
}

func (f *failure) Error() string {
	return fmt.Sprintf("qmp %s: %s: %v", f.path, f.doing, f.cause)
}

func (f *failure) Unwrap() error { return f.cause }

// Error is QEMU's refusal of a command.
type Error struct {
	Command string // the command's name
	Class   string // QEMU's class: GenericError, CommandNotFound, DeviceNotFound, …
	Desc    string // QEMU's own words, as they came: not fit for a terminal
}

// Error is QEMU's own text, and not fit for a terminal. The command is named by the error around this one.
func (e *Error) Error() string { return e.Class + ": " + e.Desc }

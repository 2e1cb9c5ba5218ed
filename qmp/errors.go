package qmp

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
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

// IsGone reports whether an error of this package says that QEMU has gone away, or is about to: it has closed the
// connection, it accepts none any more, or its socket is no longer there. Removing the socket is one of the last things
// that QEMU does, so the process may still exist for a moment.
func IsGone(err error) bool {
	for _, sign := range []error{ErrEnded, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, fs.ErrNotExist} {
		if errors.Is(err, sign) {
			return true
		}
	}
	return false
}

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

package qmp

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// Errors that a caller may check for with errors.Is.
var (
	// ErrNoGreeting means that the connection was accepted but QEMU sent nothing: QEMU serves one client at a time,
	// and none while its process is stopped.
	ErrNoGreeting = errors.New("no greeting: another client holds the monitor, or QEMU is stopped")
	// ErrClosed means that Close was called.
	ErrClosed = errors.New("closed")
	// ErrEnded means that QEMU closed the connection, mostly because it has ended.
	ErrEnded = errors.New("connection ended")

	errCutOff = errors.New("closed, because a request could not be sent to its end")
)

// IsGone reports whether an error of this package means that QEMU has ended or is about to: it has closed the
// connection, it accepts no connection any more, or its socket no longer exists. QEMU removes the socket just before
// it ends, so the process may still exist for a moment.
func IsGone(err error) bool {
	for _, sign := range []error{ErrEnded, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, fs.ErrNotExist} {
		if errors.Is(err, sign) {
			return true
		}
	}
	return false
}

// failure adds the operation and the socket to a cause, which errors.Is can find.
type failure struct {
	path  string
	doing string
	cause error
}

func (f *failure) Error() string {
	return fmt.Sprintf("qmp %s: %s: %v", f.path, f.doing, f.cause)
}

func (f *failure) Unwrap() error { return f.cause }

// Error says that QEMU refused a command.
type Error struct {
	Command string // the command's name
	Class   string // QEMU's class: GenericError, CommandNotFound, DeviceNotFound, …
	Desc    string // QEMU's own text, unchanged: do not print it to a terminal unfiltered
}

// Error returns QEMU's class and text. The error around this one names the command. Do not print it to a terminal
// unfiltered.
func (e *Error) Error() string { return e.Class + ": " + e.Desc }

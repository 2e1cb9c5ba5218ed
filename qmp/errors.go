package qmp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
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
	return fmt.Sprintf("qmp %s: %s: %v", f.path, printable(f.doing), f.cause)
}

func (f *failure) Unwrap() error { return f.cause }

// Error is QEMU's refusal of a command.
type Error struct {
	Command string // the command's name
	Class   string // QEMU's class: GenericError, CommandNotFound, DeviceNotFound, …
	Desc    string // QEMU's own words, as they came: not fit for a terminal
}

// Error is fit for a terminal. The command is named by the error around this one.
func (e *Error) Error() string {
	return printable(e.Class) + ": " + printable(e.Desc)
}

// printable spells every character that a terminal might act on (controls, and marks that reorder text) as Go's strings do.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRune(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

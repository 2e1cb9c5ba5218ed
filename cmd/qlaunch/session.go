package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
)

// session is what every command works with: the terminal, and the environment for the library.
type session struct {
	stdin          io.Reader
	stdout, stderr io.Writer // both make what is written safe for the terminal

	// The process's own streams, for what controls the terminal itself: an editor, a guest's console, the progress
	// lines. Everything else goes through stdout and stderr.
	ownStdout, ownStderr io.Writer

	inTerminal, outTerminal, errTerminal bool

	exit    func(int) // ends the process; kong's --help uses it
	verbose bool
	began   time.Time // when this process did
	env     *launcher.Env
}

// guard puts clean between the commands and the terminal: always for standard error, which people read, and for
// standard output if it is a terminal. In a pipe, output is unfiltered. The returned function writes what was held
// back.
func (s *session) guard() func() {
	said, out := &cleanWriter{w: s.ownStderr}, &cleanWriter{w: s.ownStdout}
	s.stdout, s.stderr = s.ownStdout, said
	if s.outTerminal {
		s.stdout = out
	}
	return func() { _, _ = out.flush(), said.flush() }
}

// Notice prints a message that is not an error.
func (s *session) Notice(text string) { fmt.Fprintf(s.stderr, "qlaunch: %s\n", text) }

// notice is Notice with a format.
func (s *session) notice(format string, values ...any) { s.Notice(fmt.Sprintf(format, values...)) }

// Command prints an external command with -v, as sh -x does.
func (s *session) Command(argv []string) {
	if s.verbose {
		fmt.Fprintf(s.stderr, "+ %s\n", shellLine(argv))
	}
}

// getenv returns a variable of an environment, or "" if it is not set.
func getenv(environ []string, name string) string {
	for _, variable := range environ {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

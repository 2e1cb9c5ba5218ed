package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
)

// session is what every command works with: the terminal, and what the library knows of this process.
type session struct {
	stdin          io.Reader
	stdout, stderr io.Writer // what is not fit for a terminal is made so on its way through them

	// The process's own outputs, for whatever takes the terminal over: an editor, a guest's console, the lines of
	// progress. Everything else goes through stdout and stderr.
	ownStdout, ownStderr io.Writer

	inTerminal, outTerminal, errTerminal bool

	exit    func(int) // ends the process; kong's --help uses it
	verbose bool
	began   time.Time // when this process did
	env     *launcher.Env
}

// guard puts clean between the commands and the terminal: before all that is said on standard error, which people
// read, and before the answers where they are read on a terminal. In a pipe an answer is what it is. The function
// that it returns writes what is held back.
func (s *session) guard() func() {
	said, out := &cleanWriter{w: s.ownStderr}, &cleanWriter{w: s.ownStdout}
	s.stdout, s.stderr = s.ownStdout, said
	if s.outTerminal {
		s.stdout = out
	}
	return func() { _, _ = out.flush(), said.flush() }
}

// Notice tells the user something that is not an error.
func (s *session) Notice(text string) { fmt.Fprintf(s.stderr, "qlaunch: %s\n", text) }

// notice is Notice with a format.
func (s *session) notice(format string, values ...any) { s.Notice(fmt.Sprintf(format, values...)) }

// Command shows an external command under -v, as sh -x does.
func (s *session) Command(argv []string) {
	if s.verbose {
		fmt.Fprintf(s.stderr, "+ %s\n", shellLine(argv))
	}
}

// getenv gives a variable of an environment, and "" where it is not set.
func getenv(environ []string, name string) string {
	for _, variable := range environ {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

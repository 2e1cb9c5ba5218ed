package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
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

// main runs one command line and gives its exit code.
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
		// For a value that looks like a flag kong advises to join the two, but no value of ours begins so.
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

// report tells the user of an error, if there is one, and gives the exit code. Several errors are several reports;
// the code is the first one's.
func (s *session) report(err error) int {
	if err == nil {
		return exitOK
	}
	if several, ok := errors.AsType[failures](err); ok {
		code := exitOK
		for i, err := range several {
			if c := s.report(err); i == 0 {
				code = c
			}
		}
		return code
	}
	if silent, ok := errors.AsType[exitError](err); ok {
		return int(silent)
	}
	code, hint := verdict(err)
	if mistakes, ok := errors.AsType[vms.Errors](err); ok {
		err = mistakes // each names its file, line and column: what was being done says nothing more
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(s.stderr, "qlaunch: error: %s\n", strings.TrimSuffix(line, "\n"))
	}
	if hint != "" {
		fmt.Fprintf(s.stderr, "qlaunch: hint: %s\n", hint)
	}
	return code
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

// usageError is a command line that makes no sense.
type usageError struct {
	err     error
	command string // whose help says more; empty for qlaunch's own
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func (e *usageError) hint() string {
	if e.command == "" {
		return "qlaunch --help"
	}
	return "qlaunch " + e.command + " --help"
}

// wordsOf are the words that a command is called by, after qlaunch: those of its group too.
func wordsOf(command *kong.Node) string {
	if command.Parent == nil || command.Parent.Type == kong.ApplicationNode {
		return command.Name
	}
	return wordsOf(command.Parent) + " " + command.Name
}

// commandOf is the command that was recognised in a line that makes no sense.
func commandOf(err error) string {
	wrong, ok := errors.AsType[*kong.ParseError](err)
	if !ok || wrong.Context.Selected() == nil {
		return ""
	}
	return wordsOf(wrong.Context.Selected())
}

// groupAlone is the parsed line when that has the name of a group of commands and nothing else but -v, and nil
// otherwise. Such a line is a question for the commands in the group, as docker, gh and kubectl take it: its answer
// is the help.
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

// exitError is an exit code that says it all: no text goes with it.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// failures are the errors of a command that was given several names.
type failures []error

func (f failures) Error() string { return errors.Join(f...).Error() }

// err is the failures as an error: nil when there are none.
func (f failures) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

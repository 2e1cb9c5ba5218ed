package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

// session is what every command works with.
type session struct {
	stdin          io.Reader
	stdout, stderr io.Writer // what is not fit for a terminal is made so on its way through them

	// The process's own outputs, for whoever takes the terminal over: an editor, a guest's
	// console, the lines of progress. All else goes through stdout and stderr.
	ownStdout, ownStderr io.Writer

	inTerminal, outTerminal, errTerminal bool

	environ    []string  // for the programs that take this one's place
	executable string    // the path of this program, for others that are to call it
	exit       func(int) // ends the process; kong's --help uses it
	root       string    // where the host's files are looked for
	users      string    // where logind makes the users' runtime directories
	verbose    bool
	store      vms.Store
	qemus      func() ([]launcher.QEMU, error) // the QEMUs of this user that run; launcher.QEMUs, or what that gave
	began      time.Time                       // when this process did

	// Of a session that is for one VM's start.
	timeline  *timeline // nil: it is not timed
	unwatched bool      // nobody waits for its address, so no lease is looked at
}

// forStart is the session for one VM's start, which is waited for until a goal.
func (s *session) forStart(t *timeline, until goal) *session {
	own := *s
	own.timeline, own.unwatched = t, until != goalIP && until != goalSSH
	return &own
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
	if err := s.store.Dirs.Check(); err != nil && !ofHost(command) {
		return s.report(fmt.Errorf("%s: %w", command, err))
	}
	call.BindTo(ctx, (*context.Context)(nil))
	return s.report(call.Run())
}

// guard puts clean between the commands and the terminal: before all that is
// said on standard error, which people read, and before the answers where they are read on a
// terminal. In a pipe an answer is what it is. The function that it returns writes what is held back.
func (s *session) guard() func() {
	said, out := &cleanWriter{w: s.ownStderr}, &cleanWriter{w: s.ownStdout}
	s.stdout, s.stderr = s.ownStdout, said
	if s.outTerminal {
		s.stdout = out
	}
	return func() { _, _ = out.flush(), said.flush() }
}

// report tells the user of an error, if there is one, and gives the exit code.
// Several errors are several reports; the code is the first one's.
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

// notice tells the user something that is not an error.
func (s *session) notice(format string, values ...any) {
	fmt.Fprintf(s.stderr, "qlaunch: %s\n", fmt.Sprintf(format, values...))
}

// showCommand shows an external command under -v, as sh -x does.
func (s *session) showCommand(argv []string) {
	if s.verbose {
		fmt.Fprintf(s.stderr, "+ %s\n", shellLine(argv))
	}
}

// load reads the definition of a VM that the user names.
func (s *session) load(ref string) (vms.VM, error) {
	vm, err := s.store.Load(ref)
	if err == nil {
		return vm, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		_, file, _ := s.store.Locate(ref)
		return vms.VM{}, &noVMError{ref, file}
	}
	if isA[vms.Errors](err) {
		return vms.VM{}, err
	}
	return vms.VM{}, &definitionError{err}
}

// managed gives the VM as it runs, or else as it is defined: a definition that
// has changed, or is gone, says nothing of the QEMU that was started before. Of
// an orphan without a definition nothing is known but its name.
// Whoever looks at a VM cuts its logs: nobody else is there to do it.
func (s *session) managed(ref string) (vms.VM, error) {
	vm, err := s.asStarted(ref)
	if err == nil {
		_ = launcher.TrimLogs(vm) // a log that cannot be cut is no reason not to manage the VM
	}
	return vm, err
}

// alive is a VM that a command is for and that runs, with its QEMU, which the caller closes.
func (s *session) alive(ref string) (vms.VM, *launcher.Process, error) {
	vm, err := s.managed(ref)
	if err != nil {
		return vms.VM{}, nil, err
	}
	process, err := reached(vm)
	return vm, process, err
}

// reached gives the QEMU of a VM that a command needs to run. An orphan, which no command but down reaches, is told from none.
func reached(vm vms.VM) (*launcher.Process, error) {
	process, err := launcher.Find(vm)
	if errors.Is(err, launcher.ErrNotRunning) {
		err = cmp.Or(launcher.NoOrphan(vm), err)
	}
	return process, err
}

func (s *session) asStarted(ref string) (vms.VM, error) {
	at, err := s.where(ref)
	if err != nil {
		return vms.VM{}, err
	}
	started, err := s.store.Started(at.Name, at.RunDir)
	if err == nil && launcher.IsRunning(started) {
		if at.File == s.store.Path(at.Name) { // a name is that of whatever runs by it
			return started, nil
		}
		return started, otherFile(at)
	}
	vm, err := s.load(ref)
	if err != nil && isA[*launcher.OrphanError](launcher.NoOrphan(at)) {
		return at, nil
	}
	vm.RunDir = at.RunDir
	return vm, err
}

// where is a VM that the user names, of which nothing is known but where its files are: those of its QEMU, if it runs,
// wherever the environment of this process would put them.
func (s *session) where(ref string) (vms.VM, error) {
	name, file, err := s.store.Locate(ref)
	if err != nil {
		return vms.VM{}, &definitionError{err}
	}
	vm := s.bare(name)
	vm.File = file
	return launcher.Locate(vm, s.qemus)
}

// origin is the user's word for a VM, or, where that is the name of one that was
// started from a file elsewhere, that file.
func (s *session) origin(ref string) string {
	at, err := s.where(ref)
	if err != nil || at.File != s.store.Path(at.Name) || !launcher.IsRunning(at) {
		return ref
	}
	if from := vms.Origin(at.RunDir); from != "" && from != at.File {
		return from
	}
	return ref
}

// otherFile is an error where the QEMU of a VM's name was started from another definition than the VM's, which is still there.
func otherFile(vm vms.VM) error {
	from := vms.Origin(vm.RunDir)
	there, err := os.Stat(from)
	if from == "" || from == vm.File || err != nil {
		return nil //nolint:nilerr // the definition has been moved, perhaps to where this one is
	}
	if here, err := os.Stat(vm.File); err == nil && os.SameFile(here, there) {
		return nil
	}
	return &otherFileError{vm.Name, from}
}

// otherFileError says that a VM of the same name runs, from another definition.
type otherFileError struct{ name, file string }

func (e *otherFileError) Error() string { return fmt.Sprintf("a VM of that name runs from %s", e.file) }

func (e *otherFileError) hint() string { return "qlaunch down " + e.name }

// bare is a VM of which nothing is known but where its files are.
func (s *session) bare(name string) vms.VM {
	env := s.store.Env(name, s.store.Path(name))
	return vms.VM{Name: name, File: env.File, DataDir: env.DataDir, StateDir: env.StateDir, RunDir: env.RunDir}
}

// noVMError says that there is no definition of a VM.
type noVMError struct{ ref, file string }

func (e *noVMError) Error() string { return fmt.Sprintf("no VM %q: %s does not exist", e.ref, e.file) }

// hint lists the VMs there are, unless a file was named.
func (e *noVMError) hint() string {
	if vms.IsPath(e.ref) {
		return ""
	}
	return "qlaunch ls"
}

// definitionError says that a word is no VM's name, or a file no definition.
type definitionError struct{ err error }

func (e *definitionError) Error() string { return e.err.Error() }
func (e *definitionError) Unwrap() error { return e.err }

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

// groupAlone is the parsed line when that has the name of a group of commands and nothing else but -v, and nil otherwise.
// Such a line is a question for the commands in the group, as docker, gh and kubectl take it: its answer is the help.
func groupAlone(err error, argv []string) *kong.Context {
	wrong, ok := errors.AsType[*kong.ParseError](err)
	if !ok || wrong.Context.Selected() == nil || wrong.Context.Selected().Leaf() {
		return nil
	}
	words := slices.DeleteFunc(slices.Clone(argv), func(word string) bool { return word == "-v" || word == "--verbose" })
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

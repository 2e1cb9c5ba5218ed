package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

type editCmd struct {
	Name string `arg:"" vm:"" help:"A VM."`
}

func (editCmd) Help() string {
	return "Opens a copy of the definition in $VISUAL, $EDITOR, vi or nano, and puts it in place when there is no mistake in it. " +
		"The variables may have options and quotes, as for git. " +
		"Otherwise the definition stays as it is, and your text in a file that is named."
}

func (editCmd) Example() string { return "qlaunch edit guestvm" }

// Run leaves no text behind without saying where it is.
func (c *editCmd) Run(ctx context.Context, s *session) error {
	e, err := s.newEdit(c.Name)
	if err != nil {
		return fmt.Errorf("edit %s: %w", c.Name, err)
	}
	for {
		err := e.round(ctx)
		if err == nil {
			return nil
		}
		if e.discarded() {
			return fmt.Errorf("edit %s: %w", c.Name, err)
		}
		if !isA[vms.Errors](err) {
			err = fmt.Errorf("edit %s: %w", c.Name, err)
		}
		code := s.report(err)
		again, interrupted := e.again(ctx, err)
		if again {
			continue
		}
		s.notice("your text is in %s", e.draft)
		if interrupted != nil {
			return fmt.Errorf("edit %s: %w", c.Name, interrupted)
		}
		return exitError(code)
	}
}

// edit is a definition that is being edited, in a copy beside it.
type edit struct {
	s      *session
	name   string
	file   string // the definition, as it is named
	target string // the file that holds it, behind links
	before []byte
	draft  string
}

func (s *session) newEdit(ref string) (*edit, error) {
	name, file, err := s.store.Locate(ref)
	if err != nil {
		return nil, &definitionError{err}
	}
	e := &edit{s: s, name: name, file: file}
	e.target, err = filepath.EvalSymlinks(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &noVMError{ref, file}
	}
	if err != nil {
		return nil, err
	}
	if e.before, err = vms.ReadFile(e.target); err != nil {
		return nil, &definitionError{err}
	}
	// No VM has a name like this one, and an editor sees what it is.
	f, err := os.CreateTemp(filepath.Dir(e.target), draftsOf(name))
	if err != nil {
		return nil, err
	}
	e.draft = f.Name()
	_, err = f.Write(e.before)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(e.draft))
	}
	return e, nil
}

// draftsOf is the pattern of the names that a VM's drafts have.
func draftsOf(name string) string { return "." + name + ".edit-*.toml" }

// removeDrafts removes what edits of a definition have left beside it.
func removeDrafts(name, file string) error {
	target, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	dir := filepath.Dir(target)
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		if is, _ := filepath.Match(draftsOf(name), entry.Name()); is {
			err = errors.Join(err, os.Remove(filepath.Join(dir, entry.Name())))
		}
	}
	return err
}

// round lets the user edit once. Without an error all is done, and the draft gone.
func (e *edit) round(ctx context.Context) error {
	if err := e.openEditor(ctx); err != nil {
		return err
	}
	text, err := vms.ReadFile(e.draft)
	if err != nil {
		return err
	}
	if bytes.Equal(text, e.before) {
		e.s.notice("%s: unchanged", e.name)
		return os.Remove(e.draft)
	}
	vm, err := e.parse(text)
	if err != nil {
		return err
	}
	if err := e.save(); err != nil {
		return err
	}
	if at, err := launcher.Locate(vm, e.s.qemus); err == nil && launcher.IsRunning(at) {
		e.s.notice("%s: applies at the next start", e.name)
	}
	return nil
}

// openEditor runs the editor. A Ctrl-C in it is the editor's, however often: it does not end the editing.
func (e *edit) openEditor(ctx context.Context) error {
	argv, name, err := e.s.editor()
	if err != nil {
		return err
	}
	argv = append(argv, e.draft)
	e.s.showCommand(argv)
	ctrlC := make(chan os.Signal, 1)
	signal.Notify(ctrlC, os.Interrupt)
	defer signal.Stop(ctrlC)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = e.s.stdin, e.s.ownStdout, e.s.ownStderr, e.s.environ
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// parse checks a text as the definition that it is to become. Its mistakes are
// named with their places in the draft, which is where the text is.
func (e *edit) parse(text []byte) (vms.VM, error) {
	vm, err := vms.Parse(text, e.s.store.Env(e.name, e.file))
	if mistakes, ok := errors.AsType[vms.Errors](err); ok {
		mistakes = slices.Clone(mistakes)
		for i := range mistakes {
			mistakes[i].File = e.draft
		}
		return vm, mistakes
	}
	if err == nil {
		err = e.s.store.Clash(vm)
	}
	return vm, err
}

// save puts the draft in the definition's place, whole or not at all, with the mode that this had.
func (e *edit) save() error {
	now, err := vms.ReadFile(e.target)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, e.before) {
		return fmt.Errorf("%s has been changed by somebody else meanwhile", e.target)
	}
	info, err := os.Stat(e.target)
	if err != nil {
		return err
	}
	f, err := os.Open(e.draft)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(info.Mode().Perm()), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(e.draft, e.target)
}

// discarded removes the draft when there is nothing in it to be lost.
func (e *edit) discarded() bool {
	text, err := vms.ReadFile(e.draft)
	if err == nil && bytes.Equal(text, e.before) {
		err = os.Remove(e.draft)
		return err == nil
	}
	return errors.Is(err, fs.ErrNotExist)
}

// again asks whether to go back to a text with mistakes in it.
func (e *edit) again(ctx context.Context, why error) (bool, error) {
	mistaken := isA[vms.Errors](why) || isA[*vms.ClashError](why)
	if !mistaken || !e.s.inTerminal {
		return false, nil
	}
	// A Ctrl-C in the editor was the editor's, this one is ours.
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), os.Interrupt)
	defer stop()
	fmt.Fprint(e.s.stderr, "qlaunch: edit again? [Y/n] ")
	answer, err := e.s.answer(ctx)
	return err == nil && !slices.Contains([]string{"n", "no", noAnswer}, answer), err
}

// editor is the user's editor as a command line to which the file is added, with the name by which errors are told. What
// $VISUAL or $EDITOR says is a shell's word list, as to git and crontab: quotes and variables in it mean what they mean
// there. Plain words need no shell, and a value that is the path of a program is that program, blanks and all.
func (s *session) editor() (argv []string, name string, err error) {
	for _, variable := range []string{"VISUAL", "EDITOR"} {
		value := s.getenv(variable)
		if _, err := exec.LookPath(value); err == nil {
			return []string{value}, value, nil
		}
		const special = "|&;<>()$`\\\"'*?[]{}#~=%!"
		switch words := strings.Fields(value); {
		case len(words) == 0:
		case !strings.ContainsAny(value, special):
			return words, words[0], nil
		default:
			// A shell that does not trap a Ctrl-C ends by it when the editor has ended well.
			return []string{"sh", "-c", "trap : INT; " + value + ` "$@"`, "sh"}, value, nil
		}
	}
	for _, name := range []string{"vi", "nano"} {
		if _, err := exec.LookPath(name); err == nil {
			return []string{name}, name, nil
		}
	}
	return nil, "", errors.New("no editor: neither $VISUAL nor $EDITOR is set, and there is no vi and no nano")
}

// getenv is a variable of the environment that the user started this program with.
func (s *session) getenv(name string) string {
	for _, variable := range s.environ {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

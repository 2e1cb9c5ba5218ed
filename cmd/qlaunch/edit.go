package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
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

// Run never leaves a draft behind without printing its path.
func (c *editCmd) Run(ctx context.Context, s *session) error {
	draft, err := launcher.Edit(s.env, c.Name)
	if err != nil {
		return fmt.Errorf("edit %s: %w", c.Name, err)
	}
	for {
		err := s.openEditor(ctx, draft.Path)
		if err == nil {
			err = draft.Apply()
		}
		if err == nil {
			return nil
		}
		if draft.Discard() {
			return fmt.Errorf("edit %s: %w", c.Name, err)
		}
		if !isA[vms.Errors](err) {
			err = fmt.Errorf("edit %s: %w", c.Name, err)
		}
		code := s.report(err)
		again, interrupted := s.editAgain(ctx, err)
		if again {
			continue
		}
		s.notice("your text is in %s", draft.Path)
		if interrupted != nil {
			return fmt.Errorf("edit %s: %w", c.Name, interrupted)
		}
		return exitError(code)
	}
}

// openEditor runs the editor. Ctrl-C is for the editor and does not end qlaunch.
func (s *session) openEditor(ctx context.Context, file string) error {
	argv, name, err := findEditor(s.env.Environ)
	if err != nil {
		return err
	}
	argv = append(argv, file)
	s.Command(argv)
	ctrlC := make(chan os.Signal, 1)
	signal.Notify(ctrlC, os.Interrupt)
	defer signal.Stop(ctrlC)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = s.stdin, s.ownStdout, s.ownStderr, s.env.Environ
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// editAgain asks whether to edit a text with mistakes again.
func (s *session) editAgain(ctx context.Context, why error) (bool, error) {
	mistaken := isA[vms.Errors](why) || isA[*vms.ClashError](why)
	if !mistaken || !s.inTerminal {
		return false, nil
	}
	// Ctrl-C was for the editor before; now it is for qlaunch.
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), os.Interrupt)
	defer stop()
	fmt.Fprint(s.stderr, "qlaunch: edit again? [Y/n] ")
	answer, err := s.answer(ctx)
	return err == nil && !slices.Contains([]string{"n", "no", noAnswer}, answer), err
}

// findEditor returns the user's editor as a command line, to which the file is appended, with a name for errors.
// $VISUAL or $EDITOR is parsed by the shell, as in git and crontab, with quotes and variables. Plain words need no
// shell, and a value that is the path of a program is used unchanged, even with spaces.
func findEditor(environ []string) (argv []string, name string, err error) {
	for _, variable := range []string{"VISUAL", "EDITOR"} {
		value := getenv(environ, variable)
		if _, err := exec.LookPath(value); err == nil {
			return []string{value}, value, nil
		}
		const special = "|&;<>()$`\\\"'*?[]{}#~=%!"
		switch words := strings.Fields(value); {
		case len(words) == 0:
		case !strings.ContainsAny(value, special):
			return words, words[0], nil
		default:
			// A shell that does not trap Ctrl-C is killed by it, even if the editor exits with 0.
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

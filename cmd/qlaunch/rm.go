package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/qlaunch/qlaunch/launcher"
)

type rmCmd struct {
	Names []string `arg:"" vm:"" name:"name" help:"VMs, each by its name."`
	Yes   bool     `short:"y" help:"Do not ask."`
}

func (rmCmd) Help() string {
	return "Removes the definition, drafts of it that edit has left, and the VM's own directories with all that is in them, and asks before disks are lost. Disks elsewhere stay. A VM that runs is refused."
}

func (rmCmd) Example() string { return "qlaunch down guestvm && qlaunch rm guestvm --yes" }

func (c *rmCmd) Run(ctx context.Context, s *session) error {
	return each(once(c.Names), func(name string) error { return c.one(ctx, s, name) }, "rm")
}

func (c *rmCmd) one(ctx context.Context, s *session, name string) error {
	r := launcher.RemoveRequest{Name: name}
	if !c.Yes {
		r.Confirm = func(files []string) error { return s.confirmLoss(ctx, name, files) }
	}
	return launcher.Remove(ctx, s.env, r)
}

// confirmLoss asks for confirmation before disks are deleted.
func (s *session) confirmLoss(ctx context.Context, name string, files []string) error {
	if !s.inTerminal {
		return &lossError{name, files}
	}
	fmt.Fprintf(s.stderr, "qlaunch: remove %s with %s? [y/N] ", name, strings.Join(files, ", "))
	switch answer, err := s.answer(ctx); {
	case err != nil:
		return err
	case answer != "y" && answer != "yes":
		return errors.New("not confirmed")
	}
	return nil
}

// noAnswer is what nobody types: the end of the terminal, in place of a line.
const noAnswer = "no answer"

// answer reads a line from the terminal, in lower case. Ctrl-C counts as an answer; the read, which cannot be
// interrupted, then lasts until the process ends.
func (s *session) answer(ctx context.Context) (string, error) {
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(s.stdin).ReadString('\n') // what was typed up to an end is the answer
		lines <- line
	}()
	select {
	case line := <-lines:
		if !strings.HasSuffix(line, "\n") {
			fmt.Fprintln(s.stderr)
		}
		if line == "" {
			return noAnswer, nil
		}
		return strings.ToLower(strings.TrimSpace(line)), nil
	case <-ctx.Done():
		fmt.Fprintln(s.stderr)
		return "", launcher.ErrInterrupted
	}
}

// lossError says that files would be deleted, and that there is no terminal for a confirmation.
type lossError struct {
	name  string
	files []string
}

func (e *lossError) Error() string { return strings.Join(e.files, ", ") + " would be lost" }

func (e *lossError) hint() string { return "qlaunch rm " + e.name + " --yes" }

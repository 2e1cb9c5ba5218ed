package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

type execCmd struct {
	Name    string       `arg:"" vm:"" help:"A VM."`
	Timeout vms.Duration `help:"How long the program may take. Default: as long as it likes."`
	Command []string     `arg:"" passthrough:"" help:"The program to run in the guest, after --, and its arguments: no shell reads them."`
}

func (execCmd) Help() string {
	return "Runs a program through the guest's agent (qemu-guest-agent), as the agent's user, mostly root: no network and no sshd are needed. " +
		"Standard input is sent along when it is no terminal, all of it and before the program starts. " +
		"The output comes when the program has ended: the agent keeps the first 16 MiB of each stream. The program's exit code is passed through, " +
		"128 and the signal's number when that ended it. Ctrl-C leaves the program running."
}

func (execCmd) Example() string { return "qlaunch exec guestvm -- systemctl is-system-running" }

func (c *execCmd) Run(ctx context.Context, s *session) error {
	return of("exec", c.Name, c.run(ctx, s))
}

func (c *execCmd) run(ctx context.Context, s *session) error {
	words, err := commandWords(c.Command, "exec")
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return &usageError{errors.New("no program is named"), "exec"}
	}
	r := launcher.ExecRequest{Name: c.Name, Program: words, Timeout: time.Duration(c.Timeout)}
	if !s.inTerminal {
		r.Input = s.pipedInput
	}
	exit, err := launcher.Exec(ctx, s.env, r)
	if err != nil {
		return err
	}
	return c.tell(s, exit)
}

// pipedInput returns all of standard input, unless it is a terminal.
func (s *session) pipedInput(ctx context.Context) ([]byte, error) {
	input, closeInput, err := newStoppable(ctx, s.stdin)
	if err != nil {
		return nil, err
	}
	defer closeInput()
	data, err := io.ReadAll(io.LimitReader(input, launcher.MaxExecInput+1))
	switch {
	case errors.Is(err, errStopped):
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("standard input: %w", err)
	case len(data) > launcher.MaxExecInput:
		return nil, fmt.Errorf("standard input: more than %d MiB, which is all that goes through the agent",
			launcher.MaxExecInput>>20)
	}
	return data, nil
}

// tell prints the program's output, and exits as the program did.
func (c *execCmd) tell(s *session, exit launcher.ExecResult) error {
	stderr := s.ownStderr // unfiltered in a pipe, like the standard output
	if s.errTerminal {
		stderr = s.stderr
	}
	streams := []struct {
		name string
		to   io.Writer
		text []byte
		cut  bool
	}{
		{"standard output", s.stdout, exit.Stdout, exit.StdoutCut},
		{"standard error", stderr, exit.Stderr, exit.StderrCut},
	}
	for _, stream := range streams {
		if _, err := stream.to.Write(stream.text); err != nil {
			return err
		}
	}
	for _, stream := range streams {
		if stream.cut {
			s.notice("%s: the agent kept only the beginning of the program's %s", c.Name, stream.name)
		}
	}
	switch {
	case exit.Signal > 0 && exit.Signal < 128:
		return exitError(128 + exit.Signal)
	case exit.Code == 0 && exit.Signal == 0:
		return nil
	case exit.Code > 0 && exit.Code <= 255:
		return exitError(exit.Code)
	}
	s.notice("%s: the program's exit code was %d", c.Name, exit.Code) // Windows has such
	return exitError(255)
}

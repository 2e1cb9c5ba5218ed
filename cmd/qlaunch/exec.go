package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/qmp/agent"
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
	vm, process, err := s.alive(c.Name)
	if err != nil {
		return err
	}
	defer process.Close()
	ctx, done := process.Context(ctx)
	defer done()
	run := &execution{vm: vm, process: process, timeout: time.Duration(c.Timeout)}
	exit, err := run.all(ctx, s, words)
	if err != nil {
		return run.failure(ctx, err)
	}
	return c.tell(s, exit)
}

// execution is a program in the guest.
type execution struct {
	vm      vms.VM
	process *launcher.Process
	timeout time.Duration // 0: none
	pid     int64         // the guest's number for it; 0: it has not begun, as far as is known
}

// all runs a program from the start to its end.
func (x *execution) all(ctx context.Context, s *session, words []string) (agent.Exit, error) {
	if x.timeout > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, x.timeout, errTimeout)
		defer cancel()
		ctx = limited
	}
	if err := launcher.AgentListens(ctx, x.vm); err != nil {
		return agent.Exit{}, err
	}
	input, err := pipedInput(ctx, s)
	if err != nil {
		return agent.Exit{}, err
	}
	a, err := x.open(ctx)
	if err != nil {
		return agent.Exit{}, err
	}
	program := agent.Program{Path: words[0], Args: words[1:], Input: input}
	err = within(ctx, func(ctx context.Context) (err error) {
		x.pid, err = a.Start(ctx, program)
		return err
	})
	if err != nil {
		return agent.Exit{}, errors.Join(err, a.Close())
	}
	return x.follow(ctx, a)
}

// errTimeout is the cause of the end that --timeout sets.
var errTimeout = errors.New("the time is over")

// How long the agent may take for one step, which can be one of many megabytes in a slow guest, and how the questions are spaced.
const (
	stepPatience = 2 * time.Minute
	firstPause   = 10 * time.Millisecond
	longPause    = 100 * time.Millisecond
	lastPause    = time.Second
)

func within(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepPatience)
	defer cancel()
	return do(ctx)
}

func (x *execution) open(ctx context.Context) (a *launcher.Agent, err error) {
	ctx, cancel := context.WithTimeout(ctx, agentPatience)
	defer cancel()
	return launcher.OpenAgent(ctx, x.vm)
}

// follow asks until the program has ended: the agent tells of that to nobody who
// does not ask. While a long one runs the channel is left to other commands in between.
func (x *execution) follow(ctx context.Context, a *launcher.Agent) (exit agent.Exit, err error) {
	for pause := firstPause; ; pause = min(pause*3/2, lastPause) {
		err = within(ctx, func(ctx context.Context) (err error) {
			exit, err = a.Exit(ctx, x.pid)
			return err
		})
		if err != nil || exit.Done || pause >= longPause {
			err = errors.Join(err, a.Close())
			a = nil
		}
		if err != nil || exit.Done {
			return exit, err
		}
		if err := rest(ctx, pause); err != nil {
			return exit, errors.Join(err, closed(a))
		}
		if a == nil {
			if a, err = x.open(ctx); err != nil {
				return exit, err
			}
		}
	}
}

func closed(a *launcher.Agent) error {
	if a == nil {
		return nil
	}
	return a.Close()
}

// rest returns after a pause, or ctx's cause when that ends.
func rest(ctx context.Context, pause time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pause):
		return nil
	}
}

// failure is the error that the user sees of an execution that was not followed to its end. ctx is the one without the timeout.
func (x *execution) failure(ctx context.Context, err error) error {
	where := ""
	if x.pid != 0 {
		where = fmt.Sprintf("; the program goes on in the guest, pid %d", x.pid)
	}
	switch {
	case errors.Is(context.Cause(ctx), launcher.ErrEnded), errors.Is(err, agent.ErrEnded) && ended(ctx, x.process):
		return launcher.Died(x.vm)
	case ctx.Err() != nil:
		return fmt.Errorf("%w%s", errInterrupted, where)
	case errors.Is(err, errTimeout):
		return lateError(fmt.Sprintf("not done after %s%s", x.timeout, where))
	case errors.Is(err, launcher.ErrNoAgent):
		return &noAgentError{x.vm.Name}
	case isA[*agent.Error](err) || where == "":
		return err
	}
	return fmt.Errorf("%w%s", err, where)
}

// noAgentError says that no agent listens in a guest: none yet, or none at all.
type noAgentError struct{ vm string }

func (e *noAgentError) Error() string { return launcher.ErrNoAgent.Error() }
func (e *noAgentError) Unwrap() error { return launcher.ErrNoAgent }

func (e *noAgentError) hint() string {
	return "qlaunch wait " + e.vm + " --for agent # needs qemu-guest-agent in the guest"
}

// pipedInput is all of a standard input that is no terminal.
func pipedInput(ctx context.Context, s *session) ([]byte, error) {
	if s.inTerminal {
		return nil, nil
	}
	input, closeInput, err := newStoppable(ctx, s.stdin)
	if err != nil {
		return nil, err
	}
	defer closeInput()
	data, err := io.ReadAll(io.LimitReader(input, agent.MaxInput+1))
	switch {
	case errors.Is(err, errStopped):
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("standard input: %w", err)
	case len(data) > agent.MaxInput:
		return nil, fmt.Errorf("standard input: more than %d MiB, which is all that goes through the agent", agent.MaxInput>>20)
	}
	return data, nil
}

// tell prints what the program printed, and ends as it did.
func (c *execCmd) tell(s *session, exit agent.Exit) error {
	stderr := s.ownStderr // in a pipe it is what it is, as its output is
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

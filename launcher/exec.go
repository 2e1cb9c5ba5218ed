package launcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/qmp/agent"
)

// ExecRequest is a request to run a program in a guest.
type ExecRequest struct {
	Name    string
	Program []string      // the program and its arguments; no shell parses them
	Timeout time.Duration // how long the program may take; 0: no limit
	// Input returns the program's standard input, at most MaxExecInput bytes. It is called when the guest agent
	// listens. nil: no input. If ctx ends it, it returns ctx's cause.
	Input func(ctx context.Context) ([]byte, error)
}

// ExecResult says how a program ended, and what it wrote.
type ExecResult = agent.Exit

// MaxExecInput is the maximal size of the input, in bytes.
const MaxExecInput = agent.MaxInput

// Exec runs a program in a guest through its agent (qemu-guest-agent), as the agent's user, without a network. It
// returns the program's output when the program has ended; the agent keeps the first 16 MiB of each stream.
//
// If the error is a [TimeoutError] or ErrInterrupted, the program keeps running in the guest.
func Exec(ctx context.Context, e *Env, r ExecRequest) (ExecResult, error) {
	if len(r.Program) == 0 {
		return ExecResult{}, errors.New("no program is named")
	}
	found, err := findRunning(e, r.Name)
	if err != nil {
		return ExecResult{}, err
	}
	defer found.process.Close()
	ctx, done := found.process.Context(ctx)
	defer done()
	x := &execution{running: found, timeout: r.Timeout}
	exit, err := x.run(ctx, r)
	if err != nil {
		return ExecResult{}, x.failure(ctx, err)
	}
	return exit, nil
}

// execution is a running program in a guest.
type execution struct {
	running
	timeout time.Duration // 0: none
	pid     int64         // its process ID in the guest; 0: it may not have started
}

// run runs a program until it ends.
func (x *execution) run(ctx context.Context, r ExecRequest) (agent.Exit, error) {
	if x.timeout > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, x.timeout, errExecTimeout)
		defer cancel()
		ctx = limited
	}
	if err := qemu.AgentListens(ctx, x.vm); err != nil {
		return agent.Exit{}, err
	}
	var input []byte
	if r.Input != nil {
		var err error
		if input, err = r.Input(ctx); err != nil {
			return agent.Exit{}, err
		}
	}
	a, err := x.open(ctx)
	if err != nil {
		return agent.Exit{}, err
	}
	program := agent.Program{Path: r.Program[0], Args: r.Program[1:], Input: input}
	err = inOneStep(ctx, func(ctx context.Context) (err error) {
		x.pid, err = a.Start(ctx, program)
		return err
	})
	if err != nil {
		return agent.Exit{}, errors.Join(err, a.Close())
	}
	return x.follow(ctx, a)
}

// errExecTimeout is the cause of a context that ended with the request's timeout.
var errExecTimeout = errors.New("the time is over")

// How long the agent may take for one step, which may transfer many megabytes in a slow guest, and the intervals at
// which it is asked whether the program has ended.
const (
	execStep   = 2 * time.Minute
	firstPause = 10 * time.Millisecond
	longPause  = 100 * time.Millisecond
	lastPause  = time.Second
)

func inOneStep(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, execStep)
	defer cancel()
	return do(ctx)
}

func (x *execution) open(ctx context.Context) (a *qemu.Agent, err error) {
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	return qemu.OpenAgent(ctx, x.vm)
}

// follow polls until the program has ended, since the agent has no event for that. If the program runs for long,
// other commands can use the channel in between.
func (x *execution) follow(ctx context.Context, a *qemu.Agent) (exit agent.Exit, err error) {
	for pause := firstPause; ; pause = min(pause*3/2, lastPause) {
		err = inOneStep(ctx, func(ctx context.Context) (err error) {
			exit, err = a.Exit(ctx, x.pid)
			return err
		})
		if err != nil || exit.Done {
			return exit, errors.Join(err, a.Close())
		}
		if a, err = x.pause(ctx, a, pause); err != nil {
			return exit, err
		}
	}
}

// pause returns the agent's channel after a pause. During a long pause other commands can use the channel. After an
// error it is closed.
func (x *execution) pause(ctx context.Context, a *qemu.Agent, pause time.Duration) (*qemu.Agent, error) {
	if pause < longPause {
		if err := rest(ctx, pause); err != nil {
			return nil, errors.Join(err, a.Close())
		}
		return a, nil
	}
	if err := a.Close(); err != nil {
		return nil, err
	}
	if err := rest(ctx, pause); err != nil {
		return nil, err
	}
	return x.open(ctx)
}

// rest returns after a pause, or with ctx's cause when ctx ends.
func rest(ctx context.Context, pause time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pause):
		return nil
	}
}

// failure returns the error of an execution that was not followed to its end. ctx is the context without the timeout.
func (x *execution) failure(ctx context.Context, err error) error {
	where := ""
	if x.pid != 0 {
		where = fmt.Sprintf("; the program goes on in the guest, pid %d", x.pid)
	}
	switch {
	case errors.Is(context.Cause(ctx), qemu.ErrEnded), errors.Is(err, agent.ErrEnded) && ended(ctx, x.process):
		return qemu.Died(x.vm)
	case ctx.Err() != nil:
		return fmt.Errorf("%w%s", ErrInterrupted, where)
	case errors.Is(err, errExecTimeout):
		return TimeoutError(fmt.Sprintf("not done after %s%s", x.timeout, where))
	case errors.Is(err, qemu.ErrNoAgent):
		return &NoAgentError{x.vm.Name}
	case isA[*agent.Error](err) || where == "":
		return err
	}
	return fmt.Errorf("%w%s", err, where)
}

// NoAgentError says that no agent listens in a guest, or not yet. It matches qemu.ErrNoAgent.
type NoAgentError struct{ Name string } // the VM's

func (e *NoAgentError) Error() string { return qemu.ErrNoAgent.Error() }

// Unwrap gives qemu.ErrNoAgent.
func (e *NoAgentError) Unwrap() error { return qemu.ErrNoAgent }

package qemu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/qmp/agent"
	"github.com/qlaunch/qlaunch/vms"
)

// Why the guest agent cannot be used.
var (
	ErrNoAgent    = errors.New("no guest agent has opened its channel")
	ErrAgentTaken = errors.New("another command is talking to the guest agent")
)

// Agent is a connection to the guest agent, with the lock on its channel.
type Agent struct {
	*agent.Client
	conn *net.UnixConn
	lock *Lock
}

// AgentListens checks that a program in the guest has the agent's channel open and that the guest runs, both as QEMU
// reports it. If not, the error wraps ErrNoAgent.
func AgentListens(ctx context.Context, vm vms.VM) error {
	ctx, cancel := context.WithTimeout(ctx, askDeadline)
	defer cancel()
	m, err := qmp.Dial(ctx, QMPSocket(vm))
	if err != nil {
		return err
	}
	defer m.Close()
	status, err := m.Status(ctx)
	if err != nil {
		return err
	}
	if !status.Running {
		return fmt.Errorf("%w: %w", agent.ErrSilent, &PausedError{VM: vm.Name})
	}
	open, err := m.ChardevOpen(ctx, agentChardev)
	if err != nil {
		return err
	}
	if !open {
		return ErrNoAgent
	}
	return nil
}

// OpenAgent connects to the agent in the guest of a running VM. It waits until no other command of ours uses the
// channel, which serves one client (otherwise the error wraps ErrAgentTaken), and then until an agent responds. A
// caller that does not want to wait for an agent to start calls AgentListens first.
func OpenAgent(ctx context.Context, vm vms.VM) (*Agent, error) {
	lock, err := lockAgent(ctx, filepath.Join(vm.RunDir, agentLockName))
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, AgentSocket(vm))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("guest agent %s: %w", AgentSocket(vm), err), lock.Release())
	}
	client, err := agent.Open(ctx, conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close(), lock.Release())
	}
	return &Agent{client, conn, lock}, nil
}

// lockAgent waits for the lock, since no command uses the agent for long.
func lockAgent(ctx context.Context, path string) (*Lock, error) {
	for {
		lock, err := tryLock(path)
		if lock != nil || err != nil {
			return lock, err
		}
		if err := waitUnlocked(ctx, path); err != nil {
			return nil, &takenError{holder(path), err}
		}
	}
}

// takenError is ErrAgentTaken with the holder of the lock and the cause of the end of the wait.
type takenError struct {
	pid   string
	cause error
}

func (e *takenError) Error() string   { return ErrAgentTaken.Error() + ": pid " + e.pid }
func (e *takenError) Unwrap() []error { return []error{ErrAgentTaken, e.cause} }

// Close disconnects, so that the next client can connect.
func (a *Agent) Close() error { return errors.Join(a.conn.Close(), a.lock.Release()) }

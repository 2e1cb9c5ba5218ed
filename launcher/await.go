package launcher

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/netsetup/lease"
	"github.com/qlaunch/qlaunch/vms"
)

// Goal is the state that a command waits for.
type Goal string

// The goals.
const (
	GoalNone    Goal = "none"    // do not wait: the start itself waits until QEMU responds
	GoalRunning Goal = "running" // QEMU responds
	GoalIP      Goal = "ip"      // the guest's address is known
	GoalSSH     Goal = "ssh"     // the guest's sshd responds
	GoalAgent   Goal = "agent"   // the guest agent responds
	GoalStopped Goal = "stopped" // QEMU has ended; only for Wait
)

// await waits until a guest has reached a goal. It returns the guest's address if the goal includes one and the guest
// has a bridged NIC. stage is called with each stage. If QEMU ends, await returns at once.
func await(ctx context.Context, e *Env, g *guest, until Goal, timeout time.Duration,
	stage func(string)) (netip.Addr, error) {
	stage("QEMU runs")
	if until == GoalNone || until == GoalRunning {
		return netip.Addr{}, nil
	}
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	waiting, done := g.process.Context(waiting)
	defer done()
	if until == GoalAgent {
		return netip.Addr{}, deadline(awaitAgent(waiting, g.vm), g.vm, timeout)
	}
	var found lease.Address
	var err error
	if until != GoalSSH || !byForward(g.vm) {
		found, err = g.address(waiting, stage)
	}
	address := found.IP
	switch {
	case err == nil && until == GoalSSH:
		address, err = g.awaitSSH(waiting, address)
		if err == nil {
			stage("ssh answers")
		}
	case err == nil:
		noticeDoubt(e, g.vm.Name, found)
	}
	return address, addCause(ctx, e, g, deadline(err, g.vm, timeout))
}

// address waits for the guest's address, if one of its NICs can have one.
func (g *guest) address(ctx context.Context, stage func(string)) (lease.Address, error) {
	if len(g.waiters) == 0 {
		return lease.Address{}, nil
	}
	waiting, stop := context.WithCancel(ctx)
	var ofAgent netip.Addr
	var asking sync.WaitGroup
	asking.Go(func() {
		if ofAgent = g.agentAddress(waiting); ofAgent.IsValid() {
			stop()
		}
	})
	found, err := lease.WaitAny(waiting, g.waiters, func(reached lease.Stage) {
		if reached < lease.Addressed { // at lease.Addressed the address itself is shown
			stage(reached.String())
		}
	})
	stop()
	asking.Wait()
	switch {
	case err == nil:
		stage("lease " + found.IP.String())
		return found, nil
	case ofAgent.IsValid():
		stage("address " + ofAgent.String())
		return lease.Address{IP: ofAgent}, nil
	}
	return lease.Address{}, err
}

// How to query the guest agent for an address: a lease that appears within agentYields after the agent's reply is
// preferred, and an agent that reports no address is queried again at growing intervals.
const (
	agentYields     = time.Second
	firstAgentPause = 250 * time.Millisecond
	lastAgentPause  = 4 * time.Second
)

// agentAddress waits until ctx ends for an address from the guest agent: no lease has a fixed address. The agent's
// channel has no event for an address, but the first reply comes as soon as the agent runs.
func (g *guest) agentAddress(ctx context.Context) netip.Addr {
	for pause := firstAgentPause; ; pause = min(2*pause, lastAgentPause) {
		report := agentReport{path: qemu.AgentSocket(g.vm)}
		if report.interfaces, report.err = agentInterfaces(ctx, g.vm); report.err != nil {
			return netip.Addr{} // ctx has ended, or the peer is no agent
		}
		best, ok := report.best(g.queries)
		if ok {
			pause = agentYields
		}
		select {
		case <-ctx.Done():
			return netip.Addr{}
		case <-time.After(pause):
		}
		if ok {
			return best.IP
		}
	}
}

// awaitAgent waits until the guest agent responds.
func awaitAgent(ctx context.Context, vm vms.VM) error {
	a, err := qemu.OpenAgent(ctx, vm)
	if err != nil {
		return err
	}
	return a.Close()
}

// addCause adds the cause of a missing address to the error, if it can be found.
func addCause(ctx context.Context, e *Env, g *guest, err error) error {
	late, isLate := errors.AsType[*DeadlineError](err)
	wait, ofAddress := errors.AsType[*lease.WaitError](err)
	if isLate && ofAddress {
		late.Cause = whySilent(ctx, e, g.vm, g.process.PID, wait.Query, late.Stage, wait.Reports)
	}
	return err
}

// DeadlineError says that a goal was not reached in time. The VM keeps running.
type DeadlineError struct {
	Name    string // the VM's
	Timeout time.Duration
	Stage   lease.Stage // the stage that the wait for an address reached
	Cause   error       // why there is no address, if known; may be nil
	Err     error       // a *lease.WaitError if the goal includes an address
}

// ForAddress reports whether the missing goal was the guest's address.
func (e *DeadlineError) ForAddress() bool {
	_, is := errors.AsType[*lease.WaitError](e.Err)
	return is
}

func (e *DeadlineError) Error() string {
	wait, ofLease := errors.AsType[*lease.WaitError](e.Err)
	if !ofLease {
		return fmt.Sprintf("%v, after %s; the VM keeps running", e.Err, e.Timeout)
	}
	why := e.Stage.String()
	if e.Cause != nil {
		why += ": " + e.Cause.Error()
	}
	return fmt.Sprintf("no address for %s on %s after %s: %s; the VM keeps running",
		wait.Query.MAC, wait.Query.Bridge, e.Timeout, why)
}

// Unwrap returns the error of the wait, which is context.DeadlineExceeded.
func (e *DeadlineError) Unwrap() error { return e.Err }

// deadline converts the error of a wait to the error for the caller.
func deadline(err error, vm vms.VM, timeout time.Duration) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, qemu.ErrEnded):
		return qemu.Died(vm)
	case !errors.Is(err, context.DeadlineExceeded):
		return orInterrupted(err)
	}
	e := &DeadlineError{Name: vm.Name, Timeout: timeout, Err: err}
	if wait, ok := errors.AsType[*lease.WaitError](err); ok {
		e.Stage = wait.Stage
	}
	return e
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/netsetup/leases"
	"github.com/qlaunch/qlaunch/qmp/agent"
	"github.com/qlaunch/qlaunch/vms"
)

// goal is what a command waits for.
type goal string

const (
	goalNone    goal = "none"
	goalRunning goal = "running"
	goalIP      goal = "ip"
	goalSSH     goal = "ssh"
	goalAgent   goal = "agent"
	goalStopped goal = "stopped"
)

// await waits until a guest has reached a goal, and gives its address where the
// goal comes with one and it has a bridged NIC. stage is told how far it is. It ends at once when QEMU does.
func (s *session) await(ctx context.Context, g *guest, until goal, timeout time.Duration, stage func(string)) (netip.Addr, error) {
	stage("QEMU runs")
	if until == goalNone || until == goalRunning {
		return netip.Addr{}, nil
	}
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	waiting, done := g.process.Context(waiting)
	defer done()
	if until == goalAgent {
		return netip.Addr{}, deadline(awaitAgent(waiting, g.vm), g.vm, timeout)
	}
	var found leases.Address
	var err error
	if until != goalSSH || !byForward(g.vm) {
		found, err = g.address(waiting, stage)
	}
	address := found.IP
	switch {
	case err == nil && until == goalSSH:
		address, err = g.awaitSSH(waiting, address)
		if err == nil {
			stage("ssh answers")
		}
	case err == nil:
		s.noticeDoubt(g.vm.Name, found)
	}
	return address, s.explained(ctx, g, deadline(err, g.vm, timeout))
}

// address waits for the guest's address, if a NIC of its can have one.
func (g *guest) address(ctx context.Context, stage func(string)) (leases.Address, error) {
	if len(g.waiters) == 0 {
		return leases.Address{}, nil
	}
	waiting, stop := context.WithCancel(ctx)
	var claimed netip.Addr
	var guest sync.WaitGroup
	guest.Go(func() {
		if claimed = g.claim(waiting); claimed.IsValid() {
			stop()
		}
	})
	found, err := leases.WaitAny(waiting, g.waiters, func(reached leases.Stage) {
		if reached < leases.Addressed { // else the address itself says it
			stage(reached.String())
		}
	})
	stop()
	guest.Wait()
	switch {
	case err == nil:
		stage("lease " + found.IP.String())
		return found, nil
	case claimed.IsValid():
		stage("address " + claimed.String())
		return leases.Address{IP: claimed}, nil
	}
	return leases.Address{}, err
}

// How a guest's own word is waited for: what it says has to stand for as long as a lease may still come,
// and a guest without an address yet is asked again with a growing pause.
const (
	claimSettles   = time.Second
	firstClaimWait = 250 * time.Millisecond
	lastClaimWait  = 4 * time.Second
)

// claim waits for the address that the guest's agent tells, if one comes, until
// ctx ends: a fixed address stands in no lease. The channel makes no event of
// an address, but the first answer comes as soon as the agent does.
func (g *guest) claim(ctx context.Context) netip.Addr {
	for pause := firstClaimWait; ; pause = min(2*pause, lastClaimWait) {
		t := told{path: launcher.AgentSocket(g.vm)}
		if t.interfaces, t.err = interfaces(ctx, g.vm); t.err != nil {
			return netip.Addr{} // ctx has ended, or what is there is no agent
		}
		best, ok := t.best(g.queries)
		if ok {
			pause = claimSettles
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

// awaitAgent waits until the guest's agent answers.
func awaitAgent(ctx context.Context, vm vms.VM) error {
	a, err := launcher.OpenAgent(ctx, vm)
	if err != nil {
		return err
	}
	return a.Close()
}

// errNoSSHPath says that nothing leads from the host to the guest's sshd.
var errNoSSHPath = errors.New("no bridged NIC, and no forward to its ssh port")

// sshEndpoint is where the guest's sshd is reached.
func sshEndpoint(vm vms.VM, address netip.Addr) (netip.AddrPort, error) {
	if address.IsValid() {
		return netip.AddrPortFrom(address, vm.SSH.Port), nil
	}
	for _, nic := range vm.NICs {
		if byForward(vm) && !vm.SSH.NIC.Takes(nic) {
			continue
		}
		for _, forward := range nic.Forwards {
			if forward.Guest == vm.SSH.Port {
				return forward.Host, nil
			}
		}
	}
	return netip.AddrPort{}, errNoSSHPath
}

// deadlineError says what was not reached in time, and what is still true.
type deadlineError struct {
	vm      vms.VM
	timeout time.Duration
	stage   leases.Stage
	cause   error // why there is no address, as far as that can be seen; may be nil
	err     error
}

func (e *deadlineError) Error() string {
	wait, ofLease := errors.AsType[*leases.WaitError](e.err)
	if !ofLease {
		return fmt.Sprintf("%v, after %s; the VM keeps running", e.err, e.timeout)
	}
	why := e.stage.String()
	if e.cause != nil {
		why += ": " + e.cause.Error()
	}
	return fmt.Sprintf("no address for %s on %s after %s: %s; the VM keeps running", wait.Query.MAC, wait.Query.Bridge, e.timeout, why)
}

func (e *deadlineError) Unwrap() error { return e.err }

// hint is the cure of the cause, or else what to look at, by the stage that was reached.
func (e *deadlineError) hint() string {
	if _, hint := verdict(e.cause); hint != "" {
		return hint
	}
	_, ofLease := errors.AsType[*leases.WaitError](e.err)
	switch {
	case errors.Is(e.err, agent.ErrSilent):
		return fmt.Sprintf("does qemu-guest-agent run in it? qlaunch logs %s", e.vm.Name)
	case !ofLease:
		return fmt.Sprintf("does an sshd run in it? qlaunch logs %s", e.vm.Name)
	case e.stage == leases.Silent:
		return fmt.Sprintf("has it booted? qlaunch logs %s", e.vm.Name)
	}
	return fmt.Sprintf("does a DHCP server answer on the bridge? qlaunch ip %s --explain", e.vm.Name)
}

// deadline turns the end of a wait into the error that the user sees.
func deadline(err error, vm vms.VM, timeout time.Duration) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, launcher.ErrEnded):
		return launcher.Died(vm)
	case !errors.Is(err, context.DeadlineExceeded):
		return orInterrupted(err)
	}
	e := &deadlineError{vm: vm, timeout: timeout, err: err}
	if wait, ok := errors.AsType[*leases.WaitError](err); ok {
		e.stage = wait.Stage
	}
	return e
}

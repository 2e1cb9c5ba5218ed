package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/netsetup/leases"
	"github.com/qlaunch/qlaunch/vms"
)

// explained gives the error of a wait for an address its cause, as far as that can be seen.
func (s *session) explained(ctx context.Context, g *guest, err error) error {
	late, isLate := errors.AsType[*deadlineError](err)
	wait, ofAddress := errors.AsType[*leases.WaitError](err)
	if isLate && ofAddress {
		late.cause = s.silence(ctx, g.vm, g.process.PID, wait.Query, late.stage, wait.Reports)
	}
	return err
}

// silence is why a guest that runs has no address, or nil: first what it says itself on its console, then what its port
// and its bridge show, and last who should have given it one.
func (s *session) silence(ctx context.Context, vm vms.VM, pid int, q leases.Query, stage leases.Stage, reports []leases.Report) error {
	if err := paused(ctx, vm); err != nil {
		return err
	}
	stuck := launcher.ConsoleEnd(vm)
	if stuck != nil && !errors.Is(stuck, launcher.ErrNoOutput) {
		return stuck
	}
	query := netsetup.CheckQuery{Bridge: q.Bridge, Root: s.root, MACs: macsOn(vm, q.Bridge), PID: pid, Runs: s.showCommand}
	if err := netsetup.Silence(query); err != nil {
		return err
	}
	if stage == leases.Silent {
		return stuck
	}
	if a, ok := leases.Refused(reports); ok {
		return &netsetup.Error{What: fmt.Sprintf("bridge %q", q.Bridge), Cause: netsetup.ErrAddressElsewhere, Bridge: q.Bridge, IP: a.IP,
			Detail: fmt.Sprintf("%s, from %s, is %s", a.IP, a.Path, a.Refused)}
	}
	if stage == leases.Frames {
		return netsetup.Unanswered(ctx, query)
	}
	return nil
}

// paused is an error where a VM's processors stand still.
func paused(ctx context.Context, vm vms.VM) error {
	status, err := launcher.Ask(ctx, vm)
	if err != nil || status.State != launcher.Paused {
		return nil //nolint:nilerr // whoever asks has other causes to look at
	}
	return &launcher.PausedError{VM: vm.Name, Reason: status.Reason}
}

// noAddressError says that a guest that runs has no address, and why, as far as that can be seen.
type noAddressError struct {
	stage leases.Stage
	cause error // may be nil
}

func (e *noAddressError) Error() string {
	text := fmt.Sprintf("%v: %s", errNoAddress, e.stage)
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

func (e *noAddressError) hint() string {
	_, hint := verdict(e.cause)
	return hint
}

// consoleHint is where a guest that is stuck can be helped on.
func consoleHint(e *launcher.ConsoleError) string {
	name := e.VM.Name
	switch {
	case errors.Is(e, launcher.ErrNoBootDevice):
		return "qlaunch edit " + name + ` # a [[disk]] with a system on it, the firmware that this system is for, or a [kernel]`
	case errors.Is(e, launcher.ErrPanic):
		return "qlaunch logs " + name
	case errors.Is(e, launcher.ErrHalted):
		return "qlaunch restart " + name
	case errors.Is(e, launcher.ErrNoOutput) && e.VM.Display.Type != vms.DisplayNone:
		return "qlaunch screenshot " + name
	case errors.Is(e, launcher.ErrNoOutput):
		return "console=ttyS0 on the guest's kernel command line shows what it does"
	}
	return "qlaunch console " + name
}

// noDHCPHint: setup gives DHCP to bridges of its own alone.
func noDHCPHint(e *netsetup.Error) string {
	if e.Own {
		return setUp(e)
	}
	return fmt.Sprintf("sudo qlaunch net setup --bridge %s # makes one with DHCP, for bridge = %[1]q in the definition", netsetup.OwnBridge)
}

func delayHint(e *netsetup.Error) string {
	return "sudo ip link set " + shellLine([]string{e.Bridge}) + " type bridge forward_delay 200 # 2 s, twice"
}

// blockedHint: what the spanning tree has closed is a loop of bridges; else somebody has closed the port.
func blockedHint(e *netsetup.Error) string {
	if e.STP {
		return "bridge -d link show dev " + e.Tap
	}
	return "sudo bridge link set dev " + e.Tap + " state 3"
}

func watchDHCP(e *netsetup.Error) string {
	return "sudo tcpdump -eni " + shellLine([]string{e.Bridge}) + " port 67 or port 68 # shows what the guest asks, and who answers"
}

func bridgedAccept(e *netsetup.Error) string {
	bridge := shellLine([]string{e.Bridge})
	return "sudo iptables -I FORWARD -i " + bridge + " -o " + bridge + " -j ACCEPT"
}

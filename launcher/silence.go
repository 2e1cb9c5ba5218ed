package launcher

import (
	"context"
	"errors"
	"fmt"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/netsetup/lease"
	"github.com/qlaunch/qlaunch/vms"
)

// whySilent returns why a running guest has no address, or nil. It checks the guest's processors and console, then
// its tap and its bridge, and last the DHCP server.
func whySilent(ctx context.Context, e *Env, vm vms.VM, pid int, q lease.Query, stage lease.Stage,
	reports []lease.Report) error {
	if err := checkPaused(ctx, vm); err != nil {
		return err
	}
	stuck := qemu.ConsoleEnd(vm)
	if stuck != nil && !errors.Is(stuck, qemu.ErrNoOutput) {
		return stuck
	}
	query := netsetup.CheckQuery{Bridge: q.Bridge, Root: e.Root, MACs: macsOn(vm, q.Bridge), PID: pid, Runs: e.command}
	if err := netsetup.Silence(query); err != nil {
		return err
	}
	if stage == lease.Silent {
		return stuck
	}
	if a, ok := lease.Refused(reports); ok {
		return &netsetup.ElsewhereError{Failure: netsetup.BridgeFailure(q.Bridge, netsetup.ErrAddressElsewhere,
			fmt.Sprintf("%s, from %s, is %s", a.IP, a.Path, a.Refused)), Target: netsetup.Target{Bridge: q.Bridge}, IP: a.IP}
	}
	if stage == lease.Frames {
		return netsetup.Unanswered(ctx, query)
	}
	return nil
}

// checkPaused returns a *qemu.PausedError if the VM's processors are paused.
func checkPaused(ctx context.Context, vm vms.VM) error {
	status, err := qemu.Ask(ctx, vm)
	if err != nil || status.State != qemu.Paused {
		return nil //nolint:nilerr // the caller checks for other causes
	}
	return &qemu.PausedError{VM: vm.Name, Reason: status.Reason}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/vms"
)

// unitStartCmd is what ExecStart of qlaunch@.service runs. It leaves QEMU behind
// as the unit's main process.
type unitStartCmd struct {
	Name string `arg:"" vm:"" help:"A VM."`
}

// How long a start in a unit waits for bridges that are not there yet, for the
// VM's lock, and for the address that it tells as its status. The first two and
// QEMU's own start are within TimeoutStartSec; the address is no part of the
// start, and may take its time when many guests boot with their host.
const (
	unitBridges = 30 * time.Second
	unitLock    = 50 * time.Second
	unitAddress = 3 * time.Minute
)

func (c *unitStartCmd) Run(ctx context.Context, s *session) error {
	manager := s.getenv("NOTIFY_SOCKET")
	if manager == "" {
		return fmt.Errorf("unit-start %s: this is for systemd: systemctl --user start %s", c.Name, systemd.Name(c.Name))
	}
	g, err := c.start(ctx, s)
	if err != nil {
		err = s.inOwnUnit(ctx, c.Name, orInterrupted(err))
		_ = writeFailure(s.bare(c.Name), err) // without its run directory nobody waits for it
		_ = systemd.Notify(manager, systemd.Status(systemd.NotStarted+clean(err.Error())))
		return fmt.Errorf("up %s: %w", c.Name, err)
	}
	defer g.close()
	if err := systemd.Notify(manager, fmt.Sprintf("MAINPID=%d", g.process.PID), "READY=1"); err != nil {
		return fmt.Errorf("up %s: %w", c.Name, err)
	}
	s.tellAddress(ctx, g, func(text string) { _ = systemd.Notify(manager, systemd.Status(clean(text))) })
	return nil
}

// tellAddress tells the address as soon as it is known. QEMU is the service by now: what becomes of
// this process is nothing to it, and of QEMU's end systemd itself has more to say.
func (s *session) tellAddress(ctx context.Context, g *guest, tell func(string)) {
	address, err := s.await(ctx, g, goalIP, unitAddress, tell)
	switch late, isLate := errors.AsType[*deadlineError](err); {
	case isLate:
		tell(late.Error())
	case address.IsValid():
		tell(address.String())
	}
}

func (c *unitStartCmd) start(ctx context.Context, s *session) (*guest, error) {
	if err := qemu.CheckRunDir(s.bare(c.Name).RunDir); err != nil {
		return nil, err
	}
	if err := forgetFailure(s.bare(c.Name)); err != nil {
		return nil, err
	}
	vm, err := s.load(c.Name)
	if err != nil {
		return nil, err
	}
	if err := s.setRestart(ctx, vm); err != nil {
		return nil, err
	}
	s.awaitBridges(ctx, vm)
	g, err := s.bringUp(ctx, c.Name, unitLock)
	if err == nil && !g.started {
		defer g.close()
		return nil, &elsewhereError{c.Name, g.process.PID}
	}
	return g, err
}

// awaitBridges waits for the bridges of a VM: at boot the user manager may be
// earlier than what makes them. Whether they have come is for the start to find.
func (s *session) awaitBridges(ctx context.Context, vm vms.VM) {
	ctx, cancel := context.WithTimeout(ctx, unitBridges)
	defer cancel()
	for _, nic := range bridged(vm) {
		query := netsetup.CheckQuery{Bridge: nic.Bridge, Helper: vm.QEMU.Helper}
		if netsetup.NoBridgeYet(netsetup.Check(ctx, query).Err()) {
			_ = systemd.Notify(s.getenv("NOTIFY_SOCKET"), systemd.Status("waits for its bridge, "+nic.Bridge))
			_ = netsetup.AwaitBridge(ctx, query)
		}
	}
}

// setRestart makes systemd do what the definition says about a QEMU that fails. It is
// asked to read its files anew only when that has changed.
func (s *session) setRestart(ctx context.Context, vm vms.VM) error {
	changed, err := systemd.SetRestart(s.unitDir(), vm.Name, vm.Systemd.Restart == vms.RestartOnFailure)
	if err != nil || !changed {
		return err
	}
	manager, _ := s.manager()
	return manager.Reload(ctx)
}

// elsewhereError says that a VM whose unit is to start it runs outside of that.
// systemd takes no process for a unit's own that is not in its cgroup.
type elsewhereError struct {
	vm  string
	pid int
}

func (e *elsewhereError) Error() string {
	return fmt.Sprintf("it runs already, outside of its unit: QEMU, pid %d", e.pid)
}

func (e *elsewhereError) hint() string {
	return "qlaunch restart " + e.vm + " # ends that QEMU, and starts the VM in its unit"
}

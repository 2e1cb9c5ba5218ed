package main

import (
	"context"
	"errors"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

type downCmd struct {
	Names   []string     `arg:"" vm:"" name:"name" help:"VMs."`
	Force   bool         `short:"f" help:"Do not ask the guest: QMP quit, then SIGTERM, then SIGKILL."`
	Timeout vms.Duration `help:"How long the guest may take to shut down. Default: the definition's [shutdown] timeout."`
}

func (downCmd) Help() string {
	return "Presses the guest's power button, again after 5 s, and when the time is over ends QEMU: by QMP quit, then SIGTERM, then SIGKILL. " +
		"Says so when the power button was not enough. A VM that does not run is no error."
}

func (downCmd) Example() string { return "qlaunch down guestvm --timeout 30s" }

func (c *downCmd) Run(ctx context.Context, s *session) error {
	return atOnce(once(c.Names), func(_ int, name string) error { return c.one(ctx, s, name) }, "down")
}

func (c *downCmd) one(ctx context.Context, s *session, name string) error {
	vm, err := s.managed(name)
	if err != nil {
		return err
	}
	rung, err := launcher.Stop(ctx, vm, c.patience(vm))
	switch {
	case errors.Is(err, launcher.ErrNotRunning):
		return nil
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case err != nil:
		return err
	}
	asWanted := rung == launcher.PowerButton || c.Force && rung == launcher.Quit
	if !asWanted {
		s.notice("%s: ended by %s", vm.Name, rung)
	}
	return s.sweep(ctx, vm)
}

func (c *downCmd) patience(vm vms.VM) time.Duration {
	switch {
	case c.Force:
		return 0
	case c.Timeout > 0:
		return time.Duration(c.Timeout)
	default:
		return time.Duration(vm.Shutdown.Timeout)
	}
}

// sweep removes what QEMU left, unless another command is at work on the VM already, which then does it.
func (s *session) sweep(ctx context.Context, vm vms.VM) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	lock, err := launcher.Acquire(ctx, vm)
	if errors.Is(err, launcher.ErrBusy) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(launcher.Sweep(vm), lock.Release())
}

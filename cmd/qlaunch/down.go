package main

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/launcher/unit"
	"github.com/qlaunch/qlaunch/vms"
)

type downCmd struct {
	running
	Force   bool         `short:"f" help:"Do not ask the guest: QMP quit, then SIGTERM, then SIGKILL."`
	Timeout vms.Duration `help:"How long the guest may take to shut down. Default: the definition's [shutdown] timeout."`
}

func (downCmd) Help() string {
	return "Tells the guest's agent, if one answers, to shut down; 5 s later presses the power button, and again after 5 s; and when the time is over ends QEMU: by QMP quit, then SIGTERM, then SIGKILL. " +
		"A guest that is paused runs for that. Says so when asking was not enough. A VM that does not run is no error. With --force it does not wait for other commands on the VM."
}

func (downCmd) Example() string { return "qlaunch down guestvm --timeout 30s" }

func (c *downCmd) Run(ctx context.Context, s *session) error {
	names, err := c.names(s, "down")
	if err != nil {
		return err
	}
	return atOnce(names, func(_ int, name string) error { return c.one(ctx, s, name) }, "down")
}

func (c *downCmd) one(ctx context.Context, s *session, name string) error {
	vm, err := s.managed(name)
	if err != nil {
		return err
	}
	way := shutdown{force: c.Force, patience: c.patience(vm)}
	if c.Force {
		return orInterrupted(s.forceDown(ctx, vm, way))
	}
	return orInterrupted(s.takeDown(ctx, vm, way))
}

func (c downCmd) patience(vm vms.VM) time.Duration {
	switch {
	case c.Force:
		return 0
	case c.Timeout > 0:
		return time.Duration(c.Timeout)
	default:
		return time.Duration(vm.Shutdown.Timeout)
	}
}

// shutdown is how a VM is ended.
type shutdown struct {
	force    bool          // the guest is not asked
	patience time.Duration // how long it may take when it is
	tell     func(string)  // is told how it ended, when that was not as asked; nil: nobody is
}

// hardEnd is longer than the rungs of the ladder take that come after the power button.
const hardEnd = 20 * time.Second

// takeDown shuts a VM down under its lock, so that a start waits for the end of
// it. The lock is waited for as long as another shutdown of the same patience may take.
func (s *session) takeDown(ctx context.Context, vm vms.VM, way shutdown) error {
	waiting, cancel := context.WithTimeout(ctx, way.patience+hardEnd)
	defer cancel()
	lock, err := launcher.Acquire(waiting, vm, launcher.CommandDown)
	if errors.Is(err, fs.ErrNotExist) {
		return s.stop(ctx, vm, way) // no run directory: nothing is about to run, and what runs is an orphan
	}
	if err != nil {
		return err
	}
	wait := s.tellUnit(ctx, vm, unit.Stop)
	if err := errors.Join(s.end(ctx, vm, way), lock.Release()); err != nil {
		if wait != nil && ctx.Err() != nil {
			s.notice("%s: systemd goes on ending it", vm.Name)
		}
		return err
	}
	s.awaitUnit(vm, wait)
	return nil
}

// forceDown ends a VM without its lock: another command may hold that for as long
// as a guest takes to shut down. One that is starting the VM is waited for, and undone.
func (s *session) forceDown(ctx context.Context, vm vms.VM, way shutdown) error {
	wait := s.tellUnit(ctx, vm, unit.Stop)
	if err := s.stop(ctx, vm, way); err != nil {
		return err
	}
	s.awaitUnit(vm, wait)
	if h, ok := launcher.AtWork(vm); ok && h.Command.Starts() {
		return s.takeDown(ctx, vm, way)
	}
	return s.sweep(ctx, vm, way)
}

// end ends a VM and removes what QEMU left. The caller holds the VM's lock.
// It is looked for again: whoever had the lock before may have started it with another environment.
func (s *session) end(ctx context.Context, vm vms.VM, way shutdown) error {
	vm, err := launcher.Locate(vm, s.qemus)
	if err != nil {
		return err
	}
	if err := s.stop(ctx, vm, way); err != nil {
		return err
	}
	return launcher.Sweep(vm)
}

// stop ends a VM's QEMU, if there is one, and says how when it was not as asked.
func (s *session) stop(ctx context.Context, vm vms.VM, way shutdown) error {
	rung, err := launcher.Stop(ctx, vm, way.patience)
	if errors.Is(err, launcher.ErrNotRunning) {
		return s.stopOrphan(ctx, vm)
	}
	if err != nil {
		return err
	}
	asWanted := rung == launcher.GuestAgent || rung == launcher.PowerButton || way.force && rung == launcher.Quit
	if !asWanted {
		s.notice("%s: ended by %s", vm.Name, rung)
		if way.tell != nil {
			way.tell("ended by " + string(rung))
		}
	}
	return nil
}

// stopOrphan ends a QEMU whose monitor cannot be reached any more.
func (s *session) stopOrphan(ctx context.Context, vm vms.VM) error {
	orphan, rung, err := launcher.StopOrphan(ctx, vm)
	if errors.Is(err, launcher.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	s.notice("%s: QEMU, pid %d, had lost its pid file, and its guest could not be asked: ended by %s", vm.Name, orphan.PID, rung)
	return nil
}

// sweep removes what QEMU left, unless another command is at work on the VM
// already, which then does it. With the lock comes a QEMU whose start was broken off: it is ended as well.
func (s *session) sweep(ctx context.Context, vm vms.VM, way shutdown) error {
	if _, atWork := launcher.AtWork(vm); atWork {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, hardEnd)
	defer cancel()
	lock, err := launcher.Acquire(waiting, vm, launcher.CommandDown)
	if errors.Is(err, launcher.ErrBusy) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(s.end(ctx, vm, way), lock.Release())
}

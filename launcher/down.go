package launcher

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
	"github.com/qlaunch/qlaunch/vms"
)

// DownRequest asks for a VM to be shut down.
type DownRequest struct {
	Name    string
	Force   bool          // the guest is not asked, and no other command is waited for
	Timeout time.Duration // how long the guest may take; 0 is the definition's [shutdown] timeout
}

// Down shuts a VM down: by its agent, the power button, QMP's quit, SIGTERM and SIGKILL, one after the other. A notice
// says so when asking the guest was not enough. A VM that does not run is no error.
func Down(ctx context.Context, e *Env, r DownRequest) error {
	vm, err := current(e, r.Name)
	if err != nil {
		return err
	}
	way := shutdown{force: r.Force, patience: patience(r.Force, r.Timeout, vm)}
	if r.Force {
		return orInterrupted(forceDown(ctx, e, vm, way))
	}
	return orInterrupted(shutDown(ctx, e, vm, way))
}

// patience is how long a guest may take to shut down.
func patience(force bool, timeout time.Duration, vm vms.VM) time.Duration {
	switch {
	case force:
		return 0
	case timeout > 0:
		return timeout
	default:
		return time.Duration(vm.Shutdown.Timeout)
	}
}

// shutdown is how a VM is ended.
type shutdown struct {
	force    bool              // the guest is not asked
	patience time.Duration     // how long it may take when it is
	tell     func(text string) // is told how it ended, when that was not as asked; may be nil
}

// hardEnd is longer than everything takes that is tried after the power button.
const hardEnd = 20 * time.Second

// shutDown shuts a VM down under its lock, so that a start waits for its end. The lock is waited for as long as another
// shutdown of the same patience may take.
func shutDown(ctx context.Context, e *Env, vm vms.VM, way shutdown) error {
	waiting, cancel := context.WithTimeout(ctx, way.patience+hardEnd)
	defer cancel()
	lock, err := qemu.Acquire(waiting, vm, qemu.CommandDown)
	if errors.Is(err, fs.ErrNotExist) {
		return stopVM(ctx, e, vm, way) // no run directory: nothing is about to run, and what runs is an orphan
	}
	if err != nil {
		return err
	}
	wait := announceEnd(ctx, e, vm, systemd.Stop)
	if err := errors.Join(endVM(ctx, e, vm, way), lock.Release()); err != nil {
		if wait != nil && ctx.Err() != nil {
			e.notice("%s: systemd goes on ending it", vm.Name)
		}
		return err
	}
	waitForUnit(e, vm, wait)
	return nil
}

// forceDown ends a VM without its lock: another command may hold that for as long as a guest takes to shut down. One
// that is starting the VM is waited for, and undone.
func forceDown(ctx context.Context, e *Env, vm vms.VM, way shutdown) error {
	wait := announceEnd(ctx, e, vm, systemd.Stop)
	if err := stopVM(ctx, e, vm, way); err != nil {
		return err
	}
	waitForUnit(e, vm, wait)
	if h, ok := qemu.AtWork(vm); ok && h.Command.Starts() {
		return shutDown(ctx, e, vm, way)
	}
	return sweepUp(ctx, e, vm, way)
}

// endVM ends a VM and removes what QEMU left. The caller holds the VM's lock. The VM is located again: whoever had the
// lock before may have started it with another environment.
func endVM(ctx context.Context, e *Env, vm vms.VM, way shutdown) error {
	vm, err := qemu.Locate(vm, e.QEMUs)
	if err != nil {
		return err
	}
	if err := stopVM(ctx, e, vm, way); err != nil {
		return err
	}
	return qemu.Sweep(vm)
}

// stopVM ends a VM's QEMU, if there is one, and says how when it was not as asked.
func stopVM(ctx context.Context, e *Env, vm vms.VM, way shutdown) error {
	method, err := qemu.Stop(ctx, vm, way.patience)
	if errors.Is(err, qemu.ErrNotRunning) {
		return stopOrphan(ctx, e, vm)
	}
	if err != nil {
		return err
	}
	asWanted := method == qemu.GuestAgent || method == qemu.PowerButton || way.force && method == qemu.Quit
	if !asWanted {
		e.notice("%s: ended by %s", vm.Name, method)
		if way.tell != nil {
			way.tell("ended by " + string(method))
		}
	}
	return nil
}

// stopOrphan ends a QEMU whose monitor cannot be reached any more.
func stopOrphan(ctx context.Context, e *Env, vm vms.VM) error {
	orphan, method, err := qemu.StopOrphan(ctx, vm)
	if errors.Is(err, qemu.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	e.notice("%s: QEMU, pid %d, had lost its pid file, and its guest could not be asked: ended by %s",
		vm.Name, orphan.PID, method)
	return nil
}

// sweepUp removes what QEMU left, unless another command is at work on the VM already, which then does it. A QEMU whose
// start was broken off comes with the lock: it is ended as well.
func sweepUp(ctx context.Context, e *Env, vm vms.VM, way shutdown) error {
	if _, atWork := qemu.AtWork(vm); atWork {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, hardEnd)
	defer cancel()
	lock, err := qemu.Acquire(waiting, vm, qemu.CommandDown)
	if errors.Is(err, qemu.ErrBusy) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(endVM(ctx, e, vm, way), lock.Release())
}

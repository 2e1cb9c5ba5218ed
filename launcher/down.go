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

// DownRequest is a request to shut a VM down.
type DownRequest struct {
	Name    string
	Force   bool          // do not ask the guest, and do not wait for another command
	Timeout time.Duration // how long the guest may take; 0: [shutdown] timeout in the definition
}

// Down shuts a VM down with its agent, the power button, QMP's quit, SIGTERM and SIGKILL, in this order. A notice
// says which step was needed if the guest did not shut down. It is no error if the VM does not run.
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

// patience returns how long a guest may take to shut down.
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

// shutdown says how to end a VM.
type shutdown struct {
	force    bool              // do not ask the guest
	patience time.Duration     // how long the guest may take
	tell     func(text string) // called with how it ended, if not as requested; may be nil
}

// hardEnd is longer than all steps after the power button take.
const hardEnd = 20 * time.Second

// shutDown shuts a VM down while it holds the VM's lock, so that a start waits for the end. It waits for the lock as
// long as another shutdown with the same timeout may take.
func shutDown(ctx context.Context, e *Env, vm vms.VM, way shutdown) error {
	waiting, cancel := context.WithTimeout(ctx, way.patience+hardEnd)
	defer cancel()
	lock, err := qemu.Acquire(waiting, vm, qemu.CommandDown)
	if errors.Is(err, fs.ErrNotExist) {
		return stopVM(ctx, e, vm, way) // without a run directory nothing is about to run, and a running QEMU is an orphan
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

// forceDown ends a VM without its lock, since another command may hold the lock while a guest shuts down. If a
// command is starting the VM, forceDown waits for that and then ends the VM.
func forceDown(ctx context.Context, e *Env, vm vms.VM, way shutdown) error {
	wait := announceEnd(ctx, e, vm, systemd.Stop)
	if err := stopVM(ctx, e, vm, way); err != nil {
		return err
	}
	waitForUnit(e, vm, wait)
	if h, ok := qemu.LockHolder(vm); ok && h.Command.Starts() {
		return shutDown(ctx, e, vm, way)
	}
	return sweepUp(ctx, e, vm, way)
}

// endVM ends a VM and removes the files that QEMU left. The caller holds the VM's lock. It locates the VM again,
// since the previous holder of the lock may have started it with another environment.
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

// stopVM ends a VM's QEMU, if there is one, and reports how, if not as requested.
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

// stopOrphan ends a QEMU whose monitor cannot be reached.
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

// sweepUp removes the files that QEMU left, unless another command holds the VM's lock, which then does it. It also
// ends a QEMU whose start was interrupted.
func sweepUp(ctx context.Context, e *Env, vm vms.VM, way shutdown) error {
	if _, atWork := qemu.LockHolder(vm); atWork {
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

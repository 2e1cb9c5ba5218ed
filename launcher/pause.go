package launcher

import (
	"context"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/qmp"
)

// monitorTimeout is how long QEMU may take for a command on its monitor.
const monitorTimeout = 5 * time.Second

// Pause stops the guest's processors. It is no error if the VM is paused already; if it does not run, the error is
// qemu.ErrNotRunning.
func Pause(ctx context.Context, e *Env, name string) error {
	return onMonitorOf(ctx, e, name, qemu.Pause)
}

// Resume continues a guest that was paused by the user, or by QEMU because a disk was full, and wakes a guest that
// sleeps. It is no error if the VM is not paused; if it does not run, the error is qemu.ErrNotRunning.
func Resume(ctx context.Context, e *Env, name string) error {
	return onMonitorOf(ctx, e, name, qemu.Resume)
}

// Reset presses the reset button: the guest restarts at once, and loses data that it has not written to its disks. A
// guest that panicked runs again; one that was paused stays paused. If the VM does not run, the error is
// qemu.ErrNotRunning.
func Reset(ctx context.Context, e *Env, name string) error {
	return onMonitorOf(ctx, e, name, qemu.Reset)
}

func onMonitorOf(ctx context.Context, e *Env, name string, do func(context.Context, *qmp.Monitor) error) error {
	vm, err := current(e, name)
	if err != nil {
		return err
	}
	return onMonitor(ctx, vm, monitorTimeout, do)
}

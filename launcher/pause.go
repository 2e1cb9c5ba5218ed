package launcher

import (
	"context"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/qmp"
)

// monitorTimeout is how long QEMU may take to do what it is told on its monitor.
const monitorTimeout = 5 * time.Second

// Pause stops the guest's processors. A VM that is paused already is no error; one that does not run is
// qemu.ErrNotRunning.
func Pause(ctx context.Context, e *Env, name string) error {
	return onMonitorOf(ctx, e, name, qemu.Pause)
}

// Resume lets a guest go on that was paused by the user, or by QEMU because a disk was full, and wakes one that sleeps.
// A VM that is not paused is no error; one that does not run is qemu.ErrNotRunning.
func Resume(ctx context.Context, e *Env, name string) error {
	return onMonitorOf(ctx, e, name, qemu.Resume)
}

// Reset presses the reset button: the guest starts again at once, and loses what it had not written to its disks. A
// guest that panicked runs again; one that was paused stays so. A VM that does not run is qemu.ErrNotRunning.
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

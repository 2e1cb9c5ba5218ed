package launcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

// onMonitor calls a function with the monitor of a running VM. The function must finish within the timeout, and is
// interrupted when QEMU ends.
func onMonitor(ctx context.Context, vm vms.VM, timeout time.Duration,
	do func(context.Context, *qmp.Monitor) error) error {
	process, err := findProcess(vm)
	if err != nil {
		return err
	}
	defer process.Close()
	// ctx does not end with QEMU: when QEMU ends, the monitor is closed, but only after the last reply, that to quit,
	// was read.
	asking, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	m, err := qmp.Dial(asking, qemu.QMPSocket(vm))
	if err == nil {
		defer m.Close()
		err = do(asking, m)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ErrInterrupted
	case qmp.IsGone(err) && ended(ctx, process):
		return qemu.Died(vm)
	case errors.Is(err, qmp.ErrNoGreeting):
		return &MonitorError{PID: process.PID, Timeout: timeout, Stopped: process.Stopped()}
	}
	return err
}

// ended reports whether a QEMU that closed a connection is ending. The process ends a moment later.
func ended(ctx context.Context, process *qemu.Process) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return process.Wait(ctx) == nil
}

// MonitorError says that QEMU runs but its monitor does not respond.
type MonitorError struct {
	PID     int // QEMU's
	Timeout time.Duration
	Stopped bool // QEMU's process is stopped, mostly by SIGSTOP
}

func (e *MonitorError) Error() string {
	if e.Stopped {
		return fmt.Sprintf("no answer after %s: QEMU, pid %d, is stopped", e.Timeout, e.PID)
	}
	return fmt.Sprintf("no answer after %s: another program holds the monitor of QEMU, pid %d, or it is stuck",
		e.Timeout, e.PID)
}

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

// onMonitor does something on the monitor of a VM that runs. All of it has to be done within the timeout, and it ends
// at once when QEMU does.
func onMonitor(ctx context.Context, vm vms.VM, timeout time.Duration,
	do func(context.Context, *qmp.Monitor) error) error {
	process, err := findProcess(vm)
	if err != nil {
		return err
	}
	defer process.Close()
	// ctx does not end with QEMU: the end closes the monitor, but only after its last answer, that to quit, has been
	// read.
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

// ended tells whether a QEMU that closed a connection is ending. It ends a moment after that.
func ended(ctx context.Context, process *qemu.Process) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return process.Wait(ctx) == nil
}

// MonitorError says that QEMU runs, and that its monitor does not answer.
type MonitorError struct {
	PID     int // QEMU's
	Timeout time.Duration
	Stopped bool // QEMU was stopped, by SIGSTOP mostly
}

func (e *MonitorError) Error() string {
	if e.Stopped {
		return fmt.Sprintf("no answer after %s: QEMU, pid %d, is stopped", e.Timeout, e.PID)
	}
	return fmt.Sprintf("no answer after %s: another program holds the monitor of QEMU, pid %d, or it is stuck",
		e.Timeout, e.PID)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

// onMonitor does something with the monitor of a VM that runs. All of it has to
// be done by the timeout, and it ends at once when QEMU does.
func onMonitor(ctx context.Context, vm vms.VM, timeout time.Duration, do func(context.Context, *qmp.Monitor) error) error {
	process, err := reached(vm)
	if err != nil {
		return err
	}
	defer process.Close()
	// QEMU's end breaks the monitor off, and not before its last answer, that to quit, has been read.
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
		return errInterrupted
	case brokenOff(err) && ended(ctx, process):
		return qemu.Died(vm)
	case errors.Is(err, qmp.ErrNoGreeting):
		return &mutedError{pid: process.PID, timeout: timeout, stopped: process.Stopped()}
	}
	return err
}

// ended tells whether a QEMU whose monitor broke off is on its way to its end: a moment later it is there.
func ended(ctx context.Context, process *qemu.Process) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return process.Wait(ctx) == nil
}

// brokenOff tells a monitor whose QEMU went away, before or after it took the connection.
func brokenOff(err error) bool {
	return errors.Is(err, qmp.ErrEnded) || errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ECONNRESET)
}

// mutedError says that QEMU runs and its monitor does not greet. The one cure is in its hint.
type mutedError struct {
	pid     int
	timeout time.Duration
	stopped bool
}

func (e *mutedError) Error() string {
	if e.stopped {
		return fmt.Sprintf("no answer after %s: QEMU, pid %d, is stopped", e.timeout, e.pid)
	}
	return fmt.Sprintf("no answer after %s: another program holds the monitor of QEMU, pid %d, or it is stuck", e.timeout, e.pid)
}

func (e *mutedError) hint() string {
	if e.stopped {
		return fmt.Sprintf("kill -CONT %d", e.pid)
	}
	return ""
}

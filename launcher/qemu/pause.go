package qemu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/qlaunch/qlaunch/qmp"
)

// ErrPausedAgain means that QEMU paused a resumed VM again at once, for the same reason as before.
var ErrPausedAgain = errors.New("paused again")

// PausedError says that the guest's processors are stopped.
type PausedError struct {
	VM     string
	Reason string // why, as a text; may be empty
}

// Error returns the reason.
func (e *PausedError) Error() string {
	if e.Reason == "" {
		return "the guest is paused"
	}
	return "the guest is paused: " + e.Reason
}

// againDeadline is how long QEMU may take to retry an operation on a failed disk, which it does as soon as the
// processors run.
const againDeadline = 300 * time.Millisecond

// QEMU's run states that matter here (qapi/run-state.json, RunState).
const (
	runPaused        = "paused"
	runPrelaunch     = "prelaunch"
	runSuspended     = "suspended"
	runIOError       = "io-error"
	runGuestPanicked = "guest-panicked"
)

// Pause stops the guest's processors; if they are stopped already, it does nothing.
func Pause(ctx context.Context, m *qmp.Monitor) error { return m.Stop(ctx) }

// Resume starts the guest's processors, and wakes a guest that sleeps; if the guest runs, it does nothing. The error
// wraps ErrPausedAgain if the VM was paused because of a failed disk that still fails.
func Resume(ctx context.Context, m *qmp.Monitor) error {
	status, err := m.Status(ctx)
	switch {
	case err != nil || status.Running:
		return err
	case status.State == runSuspended:
		return m.Wakeup(ctx)
	case status.State == runIOError:
		return retry(ctx, m)
	}
	return m.Cont(ctx)
}

// retry starts a guest whose disk had failed, and checks whether the disk fails again.
func retry(ctx context.Context, m *qmp.Monitor) error {
	if err := m.Cont(ctx); err != nil {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, againDeadline)
	defer cancel()
	events, err := m.Events(soon)
	if err != nil {
		return err
	}
	for e := range events {
		if e.Event == "STOP" {
			break
		}
	}
	status, err := m.Status(ctx)
	if err != nil || status.Running {
		return err
	}
	return fmt.Errorf("%w: %s", ErrPausedAgain, pauseReason(ctx, m, status.State))
}

// letRun starts a guest that cannot shut down while it is paused or sleeps. It does nothing if a disk has failed or
// the guest has panicked.
func letRun(ctx context.Context, m *qmp.Monitor) error {
	status, err := m.Status(ctx)
	if err != nil {
		return err
	}
	switch status.State {
	case runPaused, runPrelaunch, runSuspended:
		return Resume(ctx, m)
	}
	return nil
}

// Reset presses the reset button. A guest whose processors were stopped for a reason that a reset removes runs
// afterwards; one that was paused stays paused.
func Reset(ctx context.Context, m *qmp.Monitor) error {
	status, err := m.Status(ctx)
	if err != nil {
		return err
	}
	if err := m.Reset(ctx); err != nil {
		return err
	}
	if status.Running || status.State == runPaused || status.State == runPrelaunch {
		return nil
	}
	if err := m.WaitEvent(ctx, "RESET"); err != nil { // before that event, QEMU refuses to continue
		return err
	}
	return m.Cont(ctx)
}

// pauseReason says why the guest's processors are stopped.
func pauseReason(ctx context.Context, m *qmp.Monitor, runState string) string {
	if runState == runIOError {
		return diskReason(ctx, m)
	}
	words := map[string]string{
		runPaused:        "by the user",
		runPrelaunch:     "before its first instruction",
		runSuspended:     "the guest sleeps",
		runGuestPanicked: "the guest panicked",
		"internal-error": "an internal error of QEMU",
		"shutdown":       "the guest has shut down",
		"watchdog":       "the guest's watchdog",
		"debug":          "by a debugger",
		"inmigrate":      "its state is awaited",
		"restore-vm":     "its state is being restored",
		"save-vm":        "its state is being saved",
		"finish-migrate": "its state is being saved",
		"postmigrate":    "its state has been saved",
	}
	return cmp.Or(words[runState], runState)
}

// diskReason names the failed disk. QEMU distinguishes two kinds of failures (qapi/block-core.json,
// BlockDeviceIoStatus).
func diskReason(ctx context.Context, m *qmp.Monitor) string {
	disks, err := m.Disks(ctx)
	if err != nil {
		return "disk error"
	}
	for _, d := range disks {
		switch d.IOStatus {
		case "nospace":
			return "disk full: " + d.File
		case "failed":
			return "disk error: " + d.File
		}
	}
	return "disk error"
}

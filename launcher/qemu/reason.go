package qemu

import (
	"cmp"
	"context"
	"errors"

	"github.com/qlaunch/qlaunch/qmp"
)

// pauseReason says in plain words why a guest's processors stand still.
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

// diskReason names the disk that failed. QEMU knows two ways to fail (qapi/block-core.json, BlockDeviceIoStatus).
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

// muteReason says why a QEMU does not answer, as far as that can be told.
func muteReason(p *Process, err error) string {
	switch {
	case p.Stopped():
		return "QEMU is stopped by a signal"
	case errors.Is(err, qmp.ErrNoGreeting):
		return "another program holds its monitor, or it is stuck"
	case errors.Is(err, context.DeadlineExceeded):
		return "it is stuck"
	}
	return err.Error()
}

package qemu

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

// State is the state of a VM.
type State string

// The states of a VM.
const (
	Stopped      State = "stopped"      // no QEMU
	Starting     State = "starting"     // a command is starting it
	Running      State = "running"      // the guest's processors run
	Paused       State = "paused"       // QEMU runs, the processors do not; Status.Reason says why
	Unresponsive State = "unresponsive" // QEMU runs but does not respond
	Orphaned     State = "orphan"       // QEMU runs but its pid file is gone; only Orphans reports one that an earlier version started
)

// Status is the result of Ask.
type Status struct {
	State   State
	Reason  string    // why it is Paused or Unresponsive, or which command is starting it, as a text
	PID     int       // QEMU's process ID; 0 if Stopped
	Started time.Time // zero if Stopped or Starting
}

// Ask returns the state of a VM: the lock shows whether it runs, and QMP what it does. If QEMU does not respond
// within a second, the state is Unresponsive, which is not an error.
func Ask(ctx context.Context, vm vms.VM) (Status, error) {
	p, err := Find(vm)
	if errors.Is(err, ErrNotRunning) {
		return absent(ctx, vm)
	}
	if err != nil {
		return Status{}, err
	}
	defer p.Close()
	s := Status{PID: p.PID, Started: p.Started}
	asking, cancel := context.WithTimeout(ctx, askDeadline)
	defer cancel()
	asking, done := p.Context(asking)
	defer done()
	reason, err := query(asking, vm, p)
	switch {
	case err == nil && reason == "":
		s.State = Running
	case err == nil:
		s.State, s.Reason = Paused, reason
	case ctx.Err() != nil:
		return Status{}, context.Cause(ctx)
	case errors.Is(context.Cause(asking), ErrEnded), !IsRunning(vm):
		return absent(ctx, vm)
	case qmp.IsGone(err) && p.Wait(asking) == nil:
		return Ask(ctx, vm) // it ended, and another may have been started since
	default:
		s.State, s.Reason = Unresponsive, muteReason(p, err)
		if h, ok := starter(vm); ok && !p.Stopped() {
			s = Status{State: Starting, Reason: h, PID: p.PID}
		}
	}
	return s, nil
}

// absent returns the status of a VM whose QEMU cannot be found by its pid file: QEMU may be starting, or its pid file
// is gone.
func absent(ctx context.Context, vm vms.VM) (Status, error) {
	if h, ok := starter(vm); ok {
		return Status{State: Starting, Reason: h}, nil
	}
	s, err := unreached(vm)
	if !errors.Is(err, errUnseen) {
		return s, err
	}
	// A start that began between these checks held the lock before it had a QEMU: by now one of the two can be found.
	if h, ok := starter(vm); ok {
		return Status{State: Starting, Reason: h}, nil
	}
	if pidFileLocked(vm) {
		return Ask(ctx, vm)
	}
	return unreached(vm)
}

// errUnseen says that the process that holds a VM's lock is not visible here.
var errUnseen = errors.New("its QEMU runs in another pid namespace")

// unreached returns the status of a VM whose QEMU holds the lock in the data directory, but not that on its pid file.
// It is an orphan, or has just started, or is ending, for which unreached waits.
func unreached(vm vms.VM) (Status, error) {
	if _, held := writeLock(runningFile(vm)); !held {
		return Status{State: Stopped}, nil
	}
	all, err := QEMUs()
	if err != nil {
		return Status{}, err
	}
	for _, q := range all {
		if !q.IsOf(vm) {
			continue
		}
		started, lost := lostPIDFile(q.PID, filepath.Join(q.RunDir, pidName))
		switch {
		case !lost && !ends(q.PID):
			return Status{State: Starting, Reason: "its start was broken off", PID: q.PID}, nil
		case lost && !ends(q.PID):
			return Status{State: Orphaned, Reason: lostReason, PID: q.PID, Started: started}, nil
		}
	}
	// A process that ends loses its command line a moment before its files.
	ctx, cancel := context.WithTimeout(context.Background(), lastMoment)
	defer cancel()
	if err := waitUnlocked(ctx, runningFile(vm)); err != nil {
		return Status{}, lockedBy(runningFile(vm), all)
	}
	return Status{State: Stopped}, nil
}

// StrangerError says that the QEMU of another VM holds a VM's lock: its data directory was moved while it ran.
type StrangerError struct {
	File string
	QEMU
}

// Error returns the file and the QEMU.
func (e *StrangerError) Error() string {
	return fmt.Sprintf("%s is locked by the QEMU of VM %s, pid %d, which runs with these files", e.File, e.Name, e.PID)
}

// Unwrap returns ErrRunning.
func (e *StrangerError) Unwrap() error { return ErrRunning }

// lockedBy returns the error for a lock that is not held by a QEMU of the VM.
func lockedBy(file string, all []QEMU) error {
	for _, q := range all {
		if openFile(q.PID, file) != "" {
			return &StrangerError{file, q}
		}
	}
	return fmt.Errorf("%s is locked: %w", file, errUnseen)
}

// lostReason is the reason of the state Orphaned.
const lostReason = "its pid file is gone"

// starter returns the command that is starting a VM, if there is one.
func starter(vm vms.VM) (string, bool) {
	h, ok := LockHolder(vm)
	return fmt.Sprintf("by qlaunch %s, pid %d", h.Command, h.PID), ok && h.Command.Starts()
}

// muteReason says why QEMU does not respond, if known.
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

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

// State is what a VM does.
type State string

// The states of a VM.
const (
	Stopped      State = "stopped"      // no QEMU
	Starting     State = "starting"     // a command is about to make it run
	Running      State = "running"      // the guest's processors run
	Paused       State = "paused"       // QEMU runs, the processors do not; Status.Reason says why
	Unresponsive State = "unresponsive" // QEMU is there and does not answer
	Orphaned     State = "orphan"       // QEMU is there and its pid file is not; of one that an earlier version started, Orphans tells alone
)

// Status is the answer to Ask.
type Status struct {
	State   State
	Reason  string    // why it is Paused or Unresponsive, in plain words; who is Starting it
	PID     int       // QEMU's; 0 when Stopped
	Started time.Time // zero when Stopped or Starting
}

// Ask tells what a VM does: the lock says whether it runs, QMP says what it
// does. A QEMU that does not answer within a second is Unresponsive; that is no error.
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
		return Ask(ctx, vm) // it ended, and another may have come since
	default:
		s.State, s.Reason = Unresponsive, muteReason(p, err)
		if h, ok := starter(vm); ok && !p.Stopped() {
			s = Status{State: Starting, Reason: h, PID: p.PID}
		}
	}
	return s, nil
}

// absent is the status of a VM whose QEMU cannot be found by its pid file: it may be about to have one, or have lost it.
func absent(ctx context.Context, vm vms.VM) (Status, error) {
	if h, ok := starter(vm); ok {
		return Status{State: Starting, Reason: h}, nil
	}
	s, err := unreached(vm)
	if !errors.Is(err, errUnseen) {
		return s, err
	}
	// A start that began between those looks had the lock before it had a QEMU: by now that can be found, or its command.
	if h, ok := starter(vm); ok {
		return Status{State: Starting, Reason: h}, nil
	}
	if pidFileLocked(vm) {
		return Ask(ctx, vm)
	}
	return unreached(vm)
}

// errUnseen says that the holder of a VM's lock is no process that can be seen here.
var errUnseen = errors.New("its QEMU runs in another pid namespace")

// unreached tells what a QEMU does that holds the lock in its data directory and not that on its pid file: it is an
// orphan, or has only begun, or ends this moment, which is waited for.
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
	// A process that ends has lost its command line a moment before its files.
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

// Error names the file and the QEMU.
func (e *StrangerError) Error() string {
	return fmt.Sprintf("%s is locked by the QEMU of VM %s, pid %d, which runs with these files", e.File, e.Name, e.PID)
}

// Unwrap is ErrRunning.
func (e *StrangerError) Unwrap() error { return ErrRunning }

// lockedBy says who holds a lock that no QEMU of the VM does.
func lockedBy(file string, all []QEMU) error {
	for _, q := range all {
		if openFile(q.PID, file) != "" {
			return &StrangerError{file, q}
		}
	}
	return fmt.Errorf("%s is locked: %w", file, errUnseen)
}

// lostReason is why a QEMU is an orphan.
const lostReason = "its pid file is gone"

// starter is the command that is starting a VM, if one is.
func starter(vm vms.VM) (string, bool) {
	h, ok := AtWork(vm)
	return fmt.Sprintf("by qlaunch %s, pid %d", h.Command, h.PID), ok && h.Command.Starts()
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

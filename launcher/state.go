package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

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
	Orphaned     State = "orphan"       // QEMU is there and its pid file is not; Ask does not tell, see Orphans
)

// Status is the answer to Ask.
type Status struct {
	State   State
	Reason  string    // why it is Paused or Unresponsive, in plain words; who is Starting it
	PID     int       // QEMU's; 0 when Stopped
	Started time.Time // zero when Stopped or Starting
}

// askDeadline is how long a QEMU may take to say what it does. One that answers does so within a millisecond.
const askDeadline = time.Second

// Ask tells what a VM does: the lock says whether it runs, QMP says what it
// does. A QEMU that does not answer within a second is Unresponsive; that is no error.
func Ask(ctx context.Context, vm vms.VM) (Status, error) {
	p, err := Find(vm)
	if errors.Is(err, ErrNotRunning) {
		return absent(vm), nil
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
		return absent(vm), nil
	case (brokeOff(err) || errors.Is(err, fs.ErrNotExist)) && p.Wait(asking) == nil:
		return Ask(ctx, vm) // it ended, and another may have come since
	default:
		s.State, s.Reason = Unresponsive, muteReason(p, err)
		if h, ok := starter(vm); ok && !p.Stopped() {
			s = Status{State: Starting, Reason: h, PID: p.PID}
		}
	}
	return s, nil
}

// absent is the status of a VM without a QEMU: it may be about to have one.
func absent(vm vms.VM) Status {
	if h, ok := starter(vm); ok {
		return Status{State: Starting, Reason: h}
	}
	return Status{State: Stopped}
}

// starter is the command that is starting a VM, if one is.
func starter(vm vms.VM) (string, bool) {
	h, ok := AtWork(vm)
	return fmt.Sprintf("by qlaunch %s, pid %d", h.Command, h.PID), ok && h.Command.Starts()
}

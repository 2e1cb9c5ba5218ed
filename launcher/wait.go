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

// WaitRequest is a request to wait for a VM.
type WaitRequest struct {
	Name    string
	For     Goal
	Timeout time.Duration
}

// Wait returns when a VM has reached a goal. It also waits for a VM that does not run yet, unless the goal is that it
// stops; if the VM ends in the meantime, the error is a *qemu.DiedError. If the timeout passes, the error is
// context.DeadlineExceeded: a [*DeadlineError] or a [TimeoutError].
func Wait(ctx context.Context, e *Env, r WaitRequest) error {
	vm, err := current(e, r.Name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	if r.For == GoalStopped {
		return waitStopped(ctx, vm, r.Timeout)
	}
	if _, err := qemu.WaitRunning(ctx, vm); err != nil {
		if errors.Is(err, qmp.ErrNoGreeting) {
			return orTooLate(err, "QEMU still does not answer", r.Timeout)
		}
		return orTooLate(err, "it still does not run", r.Timeout)
	}
	if vm, err = current(e, r.Name); err != nil { // as it was started, perhaps from another definition
		return err
	}
	g, err := hold(e, vm)
	if err != nil {
		return err
	}
	defer g.close()
	_, err = await(ctx, e, g, r.For, r.Timeout, orNobody(nil))
	return err
}

func waitStopped(ctx context.Context, vm vms.VM, timeout time.Duration) error {
	process, err := findProcess(vm)
	if errors.Is(err, qemu.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	defer process.Close()
	defer trimming(ctx, vm)()
	return orTooLate(process.Wait(ctx), "it still runs", timeout)
}

// orTooLate returns an error that says what is still true if the timeout has passed.
func orTooLate(err error, still string, timeout time.Duration) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return TimeoutError(fmt.Sprintf("%s after %s", still, vms.Duration(timeout)))
	}
	return orInterrupted(err)
}

package launcher

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
	"github.com/qlaunch/qlaunch/vms"
)

// RestartRequest is a request to shut a VM down and start it again.
type RestartRequest struct {
	Name    string
	Force   bool               // do not ask the guest to shut down
	Wait    Goal               // what to wait for; "" is GoalNone
	Timeout time.Duration      // for each of the two; 0: [shutdown] timeout in the definition, and a minute
	Stage   func(stage string) // called with each stage, as a text for a progress line; may be nil
}

// Restart shuts a VM down like [Down] and starts it like [Up], with its current definition. A VM that does not run is
// started. Restart checks everything that the start needs before it ends the VM; if a check fails, the VM keeps
// running.
func Restart(ctx context.Context, e *Env, r RestartRequest) (UpResult, error) {
	stage := orNobody(r.Stage)
	stage("shuts down")
	old, err := current(e, r.Name)
	if err != nil {
		return UpResult{}, err
	}
	s := start{ref: r.Name, reached: orNobody(nil), watch: needsAddress(r.Wait)}
	way := shutdown{force: r.Force, patience: patience(r.Force, r.Timeout, old)}
	g, err := restartVM(ctx, e, s, old, way)
	if err != nil {
		return UpResult{}, orInterrupted(err)
	}
	defer g.close()
	timeout := r.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	address, err := await(ctx, e, g, r.Wait, timeout, stage)
	return UpResult{address}, err
}

// restartVM holds the VM's lock from before the shutdown until QEMU responds again, so that no other command finds
// the VM stopped in between.
func restartVM(ctx context.Context, e *Env, s start, old vms.VM, way shutdown) (g *guest, err error) {
	ref := origin(e, s.ref)
	e = withDataOf(e, old)
	vm, err := Load(e, ref)
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, way.patience+hardEnd)
	defer cancel()
	lock, err := qemu.MakeAndAcquire(waiting, vm, qemu.CommandRestart)
	if err != nil {
		return nil, err
	}
	if vm, err = Load(e, ref); err != nil { // while it waited for the lock, the VM may have been removed
		return nil, errors.Join(err, lock.Release())
	}
	if svc := serviceOf(ctx, e, ref); svc != nil {
		return restartByUnit(ctx, e, s, svc, &unitRestart{vm, old, way, lock})
	}
	// All obstacles to the start must be found before the old QEMU is ended.
	defer func() { err = errors.Join(err, lock.Release()) }()
	ready, err := checkStart(ctx, e, vm)
	if err != nil {
		return nil, err
	}
	if err := endVM(ctx, e, old, way); err != nil {
		return nil, err
	}
	g, taps, err := prepare(ctx, e, s, ready)
	if err != nil {
		return nil, err
	}
	defer closeAll(taps)
	if g, err = g.runs(qemu.Start(ctx, ready, taps, s.executes(e))); err == nil {
		refreshSSHEntry(ctx, e, g.vm)
	}
	return g, err
}

// withDataOf returns an Env with the data and state directories that a VM was started with: if the environment has
// other directories by now, the guest must not get empty disks.
func withDataOf(e *Env, started vms.VM) *Env {
	own := *e
	if data := filepath.Dir(started.DataDir); filepath.Base(data) == filepath.Base(e.Store.Dirs.Config) {
		own.Store.Dirs.Data, own.Store.Dirs.State = filepath.Dir(data), filepath.Dir(started.StateDir)
	}
	return &own
}

// unitRestart is a restart of a VM in its unit.
type unitRestart struct {
	vm, old vms.VM // the definition to start, and the one that runs
	way     shutdown
	lock    *qemu.Lock
}

// restartByUnit ends a VM and has systemd start it again. For a VM that runs in its unit, both are one job, which is
// queued before the shutdown, so that nobody finds the unit inactive in between; of a VM that was started directly
// the unit does not know yet. The lock makes the process that systemd starts wait until everything is ready for it.
func restartByUnit(ctx context.Context, e *Env, s start, svc *service, r *unitRestart) (*guest, error) {
	ready, err := checkStart(ctx, e, r.vm)
	if err == nil {
		err = forgetFailure(r.vm)
	}
	if err != nil {
		return nil, errors.Join(err, r.lock.Release())
	}
	job := func() error { return svc.manager.Do(ctx, systemd.Start, svc.unit) }
	if inUnit(r.old) {
		if announced := announceEnd(ctx, e, r.old, systemd.Restart); announced != nil {
			job = announced
		}
	}
	var g *guest
	if err = endVM(ctx, e, r.old, r.way); err == nil {
		g, err = withWaiters(e, s, &guest{running: running{vm: ready.VM}}, time.Time{})
	}
	if err := errors.Join(err, r.lock.Release()); err != nil {
		return nil, err
	}
	return awaitUnitStart(ctx, e, svc, g, job)
}

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

// RestartRequest asks for a VM to be shut down and started again.
type RestartRequest struct {
	Name    string
	Force   bool               // the guest is not asked to shut down
	Wait    Goal               // what to wait for; "" is GoalNone
	Timeout time.Duration      // for each of the two; 0 is the definition's [shutdown] timeout, and a minute
	Stage   func(stage string) // is called with each stage that is reached, in words for a line of progress; may be nil
}

// Restart shuts a VM down as [Down] does and starts it as [Up] does, with its definition as it is now. A VM that does
// not run is started. One that could not be started again is left as it is: what a start needs is checked before the
// end.
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

// restartVM holds the VM's lock from before its end until QEMU answers again, so that no other command finds the VM
// down in between.
func restartVM(ctx context.Context, e *Env, s start, old vms.VM, way shutdown) (g *guest, err error) {
	ref := origin(e, s.ref)
	e = withDataOf(e, old)
	vm, err := Load(e, ref)
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, way.patience+hardEnd)
	defer cancel()
	lock, err := qemu.Claim(waiting, vm, qemu.CommandRestart)
	if err != nil {
		return nil, err
	}
	if vm, err = Load(e, ref); err != nil { // what was waited for may have been its removal
		return nil, errors.Join(err, lock.Release())
	}
	if svc := serviceOf(ctx, e, ref); svc != nil {
		return restartByUnit(ctx, e, s, svc, &unitRestart{vm, old, way, lock})
	}
	// Everything that stands in the way of the start is found before the old QEMU is ended.
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

// withDataOf gives an Env with the data and state directories that a VM was started with: an environment that says
// something else of them by now must not give the guest empty disks.
func withDataOf(e *Env, started vms.VM) *Env {
	own := *e
	if data := filepath.Dir(started.DataDir); filepath.Base(data) == filepath.Base(e.Store.Dirs.Config) {
		own.Store.Dirs.Data, own.Store.Dirs.State = filepath.Dir(data), filepath.Dir(started.StateDir)
	}
	return &own
}

// unitRestart is a VM on its way from one QEMU to the next.
type unitRestart struct {
	vm, old vms.VM // as it is to run, and as it runs
	way     shutdown
	lock    *qemu.Lock
}

// restartByUnit ends a VM and has systemd start it again. For a VM that runs in its unit both are one job, of which
// systemd is told before the end, so that nobody finds the unit at rest in between; of a VM that runs directly the unit
// knows nothing yet. The lock keeps what systemd runs waiting until all is ready for it.
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

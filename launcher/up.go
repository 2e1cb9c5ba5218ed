package launcher

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
	"github.com/qlaunch/qlaunch/vms"
)

// UpRequest is a request to start a VM.
type UpRequest struct {
	Name    string             // the VM's name, or the path of its definition
	Wait    Goal               // what to wait for; "" is GoalNone
	Timeout time.Duration      // how long to wait for the goal, and before that for another command that holds the VM's lock
	Direct  bool               // start it outside of systemd, even if it has a unit
	Stage   func(stage string) // called with each stage, as a text for a progress line; may be nil
	Reached func(point string) // called with the points between the stages; may be nil
}

// UpResult is what is known about a VM that Up started.
type UpResult struct {
	Address netip.Addr // the zero Addr if Up did not wait for it, and for a VM without a bridged NIC
}

// Up starts a VM, unless it runs, and waits until it has reached a goal. If the VM has a unit of the user's systemd,
// Up starts the unit.
//
// Up checks everything before it creates anything: the errors of package netsetup and of package qemu say what is
// missing. If QEMU does not start, the error is a [*StartError]. If the timeout passes, the error is a
// [*DeadlineError], and the VM keeps running.
func Up(ctx context.Context, e *Env, r UpRequest) (UpResult, error) {
	stage := orNobody(r.Stage)
	stage("starts QEMU")
	defined, err := Load(e, r.Name)
	if err != nil {
		return UpResult{}, err
	}
	if r.Reached != nil {
		watching, unwatch := context.WithCancel(ctx)
		defer watchConsole(watching, defined, r.Reached)()
		defer unwatch()
	}
	located, err := qemu.Locate(defined, noQEMUs) // a running QEMU is searched for later, under the lock
	if err != nil {
		return UpResult{}, orInterrupted(err)
	}
	s := start{ref: r.Name, lockWait: r.Timeout, reached: orNobody(r.Reached), watch: needsAddress(r.Wait)}
	var svc *service
	if !r.Direct && !qemu.IsRunning(located) {
		svc = serviceOf(ctx, e, r.Name)
	}
	var g *guest
	if svc != nil {
		g, err = startByUnit(ctx, e, s, svc, located)
	} else {
		g, err = startOrAttach(ctx, e, s, located)
	}
	if err != nil {
		return UpResult{}, orInterrupted(err)
	}
	defer g.close()
	address, err := await(ctx, e, g, r.Wait, r.Timeout, stage)
	return UpResult{address}, err
}

// DryRun makes all checks of a start, changes nothing, and returns the command line of the QEMU that would be
// started.
func DryRun(ctx context.Context, e *Env, name string) (argv []string, err error) {
	vm, err := Load(e, name)
	if err != nil {
		return nil, err
	}
	ready, err := checkStart(ctx, e, vm)
	if err != nil {
		return nil, err
	}
	uefi, err := qemu.FindUEFI(ready.VM)
	if err != nil {
		return nil, err
	}
	return qemu.Args(ready.VM, qemu.Files{Helper: ready.Helper, UEFI: uefi}), nil
}

// orNobody returns tell, or a function that does nothing if tell is nil.
func orNobody(tell func(string)) func(string) {
	if tell == nil {
		return func(string) {}
	}
	return tell
}

// needsAddress reports whether the goal includes the address.
func needsAddress(goal Goal) bool { return goal == GoalIP || goal == GoalSSH }

func noQEMUs() ([]qemu.QEMU, error) { return nil, nil }

// startByUnit starts a VM with its unit, unless it runs already. It makes all checks here, where the user sees the
// errors, before it starts the unit. It releases the lock for the process that systemd starts.
func startByUnit(ctx context.Context, e *Env, s start, svc *service, located vms.VM) (*guest, error) {
	vm, lock, err := lockForStart(ctx, e, s, located)
	if err != nil {
		return nil, err
	}
	g, err := attach(e, s, vm)
	if errors.Is(err, qemu.ErrNotRunning) {
		g, err = checkUnitStart(ctx, e, s, vm)
	}
	if err := errors.Join(err, lock.Release()); err != nil || g.process != nil {
		return g, err
	}
	return awaitUnitStart(ctx, e, svc, g, func() error { return svc.manager.Do(ctx, systemd.Start, svc.unit) })
}

func checkUnitStart(ctx context.Context, e *Env, s start, vm vms.VM) (*guest, error) {
	ready, err := checkStart(ctx, e, vm)
	if err != nil {
		return nil, err
	}
	if err := forgetFailure(vm); err != nil {
		return nil, err
	}
	return withWaiters(e, s, &guest{running: running{vm: ready.VM}}, time.Time{})
}

// awaitUnitStart runs the job with which systemd starts a VM, and finds the QEMU that it started.
func awaitUnitStart(ctx context.Context, e *Env, svc *service, g *guest, job func() error) (*guest, error) {
	err := runUnitJob(ctx, e, svc, g.vm, job)
	if err == nil {
		g.vm, err = qemu.Locate(g.vm, e.QEMUs)
	}
	if err == nil {
		g.process, err = qemu.Find(g.vm)
	}
	if errors.Is(err, qemu.ErrNotRunning) {
		err = qemu.Died(g.vm)
	}
	if err != nil {
		g.close()
		return nil, err
	}
	startedAs, err := e.Store.Started(g.vm.Name, g.vm.RunDir)
	if err == nil {
		g.vm = startedAs
	} else if !errors.Is(err, fs.ErrNotExist) {
		g.close()
		return nil, err
	}
	return g, nil
}

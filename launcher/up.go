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

// UpRequest asks for a VM to run.
type UpRequest struct {
	Name    string             // the VM's name, or the path of its definition
	Wait    Goal               // what to wait for; "" is GoalNone
	Timeout time.Duration      // how long to wait for that, and before it for another command at work on the VM
	Direct  bool               // start it outside of systemd, also where it has a unit
	Stage   func(stage string) // is called with each stage, in words for a line of progress; may be nil
	Reached func(point string) // is called with the points between the stages; may be nil
}

// UpResult is what is known of a VM that was made to run.
type UpResult struct {
	Address netip.Addr // the zero Addr where it was not waited for, and for a VM without a bridged NIC
}

// Up starts a VM, unless it runs, and waits until it has reached a goal. A VM that has a unit of the user's systemd is
// started by that.
//
// Everything that can be found wrong is found before anything exists: the errors of package netsetup and of package
// qemu say what is missing. A QEMU that does not come up is a [*StartError]. When the time is over the error is a
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
	located, err := qemu.Locate(defined, noQEMUs) // who has it already, if somebody has, is looked for under the lock
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

// DryRun goes as far as a start can without a change to anything, and gives the command line of the QEMU that would be
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

// orNobody is a function that can be called where nobody wants to know.
func orNobody(tell func(string)) func(string) {
	if tell == nil {
		return func(string) {}
	}
	return tell
}

// needsAddress tells whether an address is waited for.
func needsAddress(goal Goal) bool { return goal == GoalIP || goal == GoalSSH }

func noQEMUs() ([]qemu.QEMU, error) { return nil, nil }

// startByUnit makes a VM run by its unit, or finds that it runs. Everything that can be found wrong is found here,
// where the user sees it, before systemd is asked. The lock is released for the process that systemd starts.
func startByUnit(ctx context.Context, e *Env, s start, svc *service, located vms.VM) (*guest, error) {
	vm, lock, err := claim(ctx, e, s, located)
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

// awaitUnitStart runs the job by which systemd starts a VM, and finds the QEMU that it started.
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

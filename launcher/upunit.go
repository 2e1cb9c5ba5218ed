package launcher

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
	"github.com/qlaunch/qlaunch/vms"
)

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

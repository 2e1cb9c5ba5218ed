package main

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
	"github.com/qlaunch/qlaunch/vms"
)

// bringUpService makes a VM run through its unit, or finds that it runs. All
// that can be found wrong is found here, at the terminal, before systemd is
// asked. The lock is waited for, and given back for the process that systemd starts.
func (s *session) bringUpService(ctx context.Context, svc *service, ref string, timeout time.Duration) (*guest, error) {
	g, err := s.claimed(ctx, ref, timeout, s.prepare)
	if err != nil {
		return nil, err
	}
	if g.process != nil {
		return g, nil
	}
	return s.serve(ctx, svc, g, func() error { return svc.manager.Do(ctx, systemd.Start, svc.unit) })
}

// prepare does for a start by systemd what can be done before: the checks, and the watch for the
// address. A VM that runs is given as it is, with its process.
func (s *session) prepare(ctx context.Context, vm vms.VM) (*guest, error) {
	g, err := s.find(vm)
	if !errors.Is(err, qemu.ErrNotRunning) {
		return g, err
	}
	if vm, _, err = s.ready(ctx, vm); err != nil {
		return nil, err
	}
	if err := forgetFailure(vm); err != nil {
		return nil, err
	}
	return s.watched(&guest{vm: vm}, time.Time{})
}

// serve has systemd start what is prepared, and finds the QEMU that it started.
func (s *session) serve(ctx context.Context, svc *service, g *guest, job func() error) (*guest, error) {
	err := s.startService(ctx, svc, g.vm, job)
	if err == nil {
		g.vm, err = qemu.Locate(g.vm, s.qemus)
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
	started, err := s.store.Started(g.vm.Name, g.vm.RunDir)
	if err == nil {
		g.vm = started
	} else if !errors.Is(err, fs.ErrNotExist) {
		g.close()
		return nil, err
	}
	return g, nil
}

package main

import (
	"context"
	"errors"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
	"github.com/qlaunch/qlaunch/vms"
)

// restart is a VM on its way from one QEMU to the next.
type restart struct {
	vm, old vms.VM // as it is to run, and as it runs
	way     shutdown
	lock    *qemu.Lock
}

// restartService ends a VM and has systemd start it again. A VM that runs in its
// unit is one job for systemd, told before the end, so that nobody finds the
// unit at rest in between; of one that runs directly the unit knows nothing yet.
// The lock keeps what systemd runs waiting until all is ready for it.
func (s *session) restartService(ctx context.Context, svc *service, r *restart) (*guest, error) {
	vm, _, err := s.ready(ctx, r.vm)
	if err == nil {
		err = forgetFailure(vm)
	}
	if err != nil {
		return nil, errors.Join(err, r.lock.Release())
	}
	job := func() error { return svc.manager.Do(ctx, systemd.Start, svc.unit) }
	if inUnit(r.old) {
		if told := s.tellUnit(ctx, r.old, systemd.Restart); told != nil {
			job = told
		}
	}
	var g *guest
	if err = s.end(ctx, r.old, r.way); err == nil {
		g, err = s.watched(&guest{vm: vm}, time.Time{})
	}
	if err := errors.Join(err, r.lock.Release()); err != nil {
		return nil, err
	}
	return s.serve(ctx, svc, g, job)
}

package main

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

type restartCmd struct {
	running
	Force   bool         `short:"f" help:"Do not ask the guest: QMP quit, then SIGTERM, then SIGKILL."`
	Wait    goal         `enum:"none,running,ip,ssh" default:"ip" help:"Return when QEMU runs, the address is known, or sshd answers: ${enum}."`
	Timeout vms.Duration `help:"How long the guest may take to shut down, and then to get there. Default: the definition's [shutdown] timeout, and 60s."`
}

func (restartCmd) Help() string {
	return "Shuts VMs down as down does, and starts them as up does, each with its definition as it is now. " +
		"Prints the addresses. A VM that does not run is started; one that could not be started again is left as it is."
}

func (restartCmd) Example() string { return "qlaunch restart guestvm --wait ssh" }

func (c *restartCmd) Run(ctx context.Context, s *session) error {
	names, err := c.names(s, "restart")
	if err != nil {
		return err
	}
	return s.bringAllUp(names, c.All, "restart", func(name string, stage func(string)) (netip.Addr, error) {
		return c.one(ctx, s.forStart(nil, c.Wait), name, stage)
	})
}

func (c *restartCmd) one(ctx context.Context, s *session, name string, stage func(string)) (netip.Addr, error) {
	stage("shuts down")
	old, err := s.managed(name)
	if err != nil {
		return netip.Addr{}, err
	}
	way := shutdown{force: c.Force, patience: downCmd{Force: c.Force, Timeout: c.Timeout}.patience(old)}
	g, err := s.restart(ctx, name, old, way)
	if err != nil {
		return netip.Addr{}, orInterrupted(err)
	}
	defer g.close()
	timeout := time.Duration(c.Timeout)
	if timeout == 0 {
		timeout = time.Minute
	}
	return s.await(ctx, g, c.Wait, timeout, stage)
}

// restart holds the VM's lock from before its end until QEMU answers anew, so
// that no other command finds the VM down in between.
func (s *session) restart(ctx context.Context, ref string, old vms.VM, way shutdown) (*guest, error) {
	ref = s.origin(ref)
	s = s.withDataOf(old)
	vm, err := s.load(ref)
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, way.patience+hardEnd)
	defer cancel()
	lock, err := launcher.Claim(waiting, vm, launcher.CommandRestart)
	if err != nil {
		return nil, err
	}
	var g *guest
	if vm, err = s.load(ref); err == nil { // what was waited for may have been its removal
		if svc := s.service(ctx, ref); svc != nil {
			return s.restartService(ctx, svc, &restart{vm, old, way, lock})
		}
		g, err = s.restartLocked(ctx, vm, old, way)
	}
	return g, errors.Join(err, lock.Release())
}

// withDataOf is the session with the data and state directories that a VM was started with: what an environment says of them
// now gives nobody empty disks.
func (s *session) withDataOf(started vms.VM) *session {
	own := *s
	if data := filepath.Dir(started.DataDir); filepath.Base(data) == filepath.Base(s.store.Dirs.Config) {
		own.store.Dirs.Data, own.store.Dirs.State = filepath.Dir(data), filepath.Dir(started.StateDir)
	}
	return &own
}

// restartLocked finds all that stands in the way of the start before the old QEMU is ended.
func (s *session) restartLocked(ctx context.Context, vm, old vms.VM, way shutdown) (*guest, error) {
	vm, helper, err := s.ready(ctx, vm)
	if err != nil {
		return nil, err
	}
	if err := s.end(ctx, old, way); err != nil {
		return nil, err
	}
	return s.startReady(ctx, vm, helper)
}

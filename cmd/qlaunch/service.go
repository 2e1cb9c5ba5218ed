package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/launcher/unit"
	"github.com/qlaunch/qlaunch/vms"
)

// service is the systemd unit by which a VM is started and ended.
type service struct {
	vm      string
	unit    string
	manager unit.Manager
	state   unit.State
}

// unitDir is where the user's own unit files are.
func (s *session) unitDir() string {
	return filepath.Join(filepath.Dir(filepath.Dir(s.store.Dirs.Config)), "systemd/user")
}

// manager is the user's systemd, where one can be asked.
func (s *session) manager() (unit.Manager, bool) {
	dir := s.store.Dirs.Session
	environ := append(slices.Clone(s.environ), "XDG_RUNTIME_DIR="+dir) // the last one counts
	return unit.Manager{Environ: environ, Verbose: s.showCommand}, unit.Reachable(dir)
}

// service gives the unit of a VM, or nil when the VM is to be started directly:
// without a user manager, without a template, by a definition that the unit
// would not find. Where the user would expect otherwise, a notice says why.
func (s *session) service(ctx context.Context, ref string) *service {
	name, file, err := s.store.Locate(ref)
	if err != nil || file != s.store.Path(name) {
		return nil
	}
	manager, ok := s.manager()
	if !ok {
		s.noManager(name)
		return nil
	}
	svc := &service{vm: name, unit: unit.Name(name), manager: manager}
	svc.state, err = manager.State(ctx, svc.unit)
	if err == nil && svc.state.Load == "not-found" {
		return nil
	}
	if err == nil {
		err = s.sameDirs(ctx, manager)
	}
	if err != nil {
		s.notice("%s: not as a service: %v", name, err)
		return nil
	}
	return svc
}

// noManager says how to get at the user manager, where the user's own unit files say that it is counted on.
func (s *session) noManager(name string) {
	for _, file := range []string{unit.TemplateFile, filepath.Join("default.target.wants", unit.Name(name))} {
		if _, err := os.Lstat(filepath.Join(s.unitDir(), file)); err == nil {
			s.notice("%s: not as a service: %s: %s", name, s.whyNoManager(), managerCure)
			return
		}
	}
}

// managerCure is what starts a user manager.
const managerCure = "loginctl enable-linger # or a login by ssh, or by machinectl shell"

func (s *session) whyNoManager() string {
	if s.store.Dirs.Session == "" {
		return "no user manager: no runtime directory of yours, as under su and cron"
	}
	return "no user manager listens in " + s.store.Dirs.Session
}

// sameDirs tells a user manager that would look for VMs where this process does from one that would not.
func (s *session) sameDirs(ctx context.Context, manager unit.Manager) error {
	environment, err := manager.Environment(ctx)
	if err != nil {
		return err
	}
	theirs := vms.FindDirs(vms.Surroundings{Getenv: func(name string) string { return environment[name] },
		Home: environment["HOME"], UID: s.store.UID, Tmp: os.TempDir(), Users: s.users})
	for _, dir := range []struct{ what, ours, theirs string }{
		{"definitions", s.store.Dirs.Config, theirs.Config},
		{"disks", s.store.Dirs.Data, theirs.Data},
		{"logs", s.store.Dirs.State, theirs.State},
		{"sockets", s.store.Dirs.Runtime, theirs.Runtime},
	} {
		if dir.ours != dir.theirs {
			return fmt.Errorf("the user manager's environment has the %s in %s, this one in %s", dir.what, dir.theirs, dir.ours)
		}
	}
	return nil
}

// inUnit tells whether the QEMU of a VM is the one of its unit.
func inUnit(vm vms.VM) bool {
	process, err := launcher.Find(vm)
	if err != nil {
		return false
	}
	defer process.Close()
	name, ok := unit.Of(process.PID)
	return ok && name == unit.Name(vm.Name)
}

// startService has the manager start a unit, by a job, and turns a failure into
// what the start itself had to say.
func (s *session) startService(ctx context.Context, svc *service, vm vms.VM, job func() error) error {
	if svc.state.Stale {
		if err := svc.manager.Reload(ctx); err != nil {
			return err
		}
	}
	if svc.state.Active == "failed" { // however it came to that: it may have been started too often
		if err := svc.manager.ResetFailed(ctx, svc.unit); err != nil {
			return err
		}
	}
	err := job()
	if err != nil && ctx.Err() == nil && s.tooOften(ctx, svc) {
		err = svc.manager.Do(ctx, unit.Start, svc.unit)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		s.notice("%s: systemd goes on starting it", svc.vm)
		return context.Cause(ctx)
	}
	if said, ok := readFailure(vm); ok {
		return said
	}
	state, unknown := svc.manager.State(ctx, svc.unit)
	switch {
	case unknown != nil, !state.Loaded():
		return err
	case state.Failure() != "":
		return &unitError{svc.vm, state}
	case state.Active != "active":
		return errCalledOff
	}
	return err
}

// errCalledOff says that a start came to nothing because somebody wanted that.
var errCalledOff = errors.New("another command called the start off")

// tooOften tells whether a unit was only started too often in a short time,
// which somebody who types the starts may do: systemd is told to forget that.
func (s *session) tooOften(ctx context.Context, svc *service) bool {
	state, err := svc.manager.State(ctx, svc.unit)
	if err != nil || !state.StartLimitHit() {
		return false
	}
	s.notice("%s: started too often in a short time for systemd, which is told to forget that", svc.vm)
	return svc.manager.ResetFailed(ctx, svc.unit) == nil
}

// unitError says that a unit failed, and how, where its process could say nothing itself.
type unitError struct {
	vm    string
	state unit.State
}

func (e *unitError) Error() string {
	return fmt.Sprintf("%s failed: %s", unit.Name(e.vm), e.state.Failure())
}

func (e *unitError) hint() string {
	if e.state.NoProgram() {
		return "qlaunch enable " + e.vm + " # writes the unit anew, with the path of this qlaunch"
	}
	return "journalctl --user --unit " + unit.Name(e.vm)
}

// unitGone is how long a unit may take to be inactive once its QEMU has ended.
const unitGone = 15 * time.Second

// tellUnit tells the manager that the end of a VM is wanted, so that it does not
// take it for a failure: to stop, or to restart, its unit. The end itself
// stays with this process, which holds the VM's lock; the unit's own ExecStop
// waits for that lock. What is returned waits until the manager is done; it is nil
// when nothing is to be told, of a VM whose unit does nothing.
func (s *session) tellUnit(ctx context.Context, vm vms.VM, verb unit.Verb) (wait func() error) {
	manager, ok := s.manager()
	if !ok {
		return nil
	}
	switch {
	case inUnit(vm):
	case launcher.IsRunning(vm):
		return nil
	default:
		state, err := manager.State(ctx, unit.Name(vm.Name))
		if err != nil || !state.Loaded() || state.Idle() {
			return nil
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := manager.Begin(ctx, verb, unit.Name(vm.Name))
	return func() error {
		defer cancel()
		if err := done(); err != nil || verb != unit.Stop {
			return err
		}
		return forgive(ctx, manager, unit.Name(vm.Name))
	}
}

// forgive leaves no failed unit behind an end that was wanted, were it by SIGKILL. Whether the manager sees the signal is
// chance: while what started QEMU still waits for the guest's address, the kernel tells that process of the end, not the manager.
func forgive(ctx context.Context, manager unit.Manager, name string) error {
	state, err := manager.State(ctx, name)
	if err != nil || state.Active != "failed" {
		return err
	}
	return manager.ResetFailed(ctx, name)
}

// awaitUnit waits until the unit of a VM that has ended is at rest. That the
// manager does not get there is not the VM's failure.
func (s *session) awaitUnit(vm vms.VM, wait func() error) {
	if wait == nil {
		return
	}
	done := make(chan error, 1)
	go func() { done <- wait() }()
	var err error
	select {
	case err = <-done:
	case <-time.After(unitGone):
		err = errors.New("not at rest after " + unitGone.String())
	}
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errInterrupted) {
		s.notice("%s: has ended, but its unit: %v", vm.Name, err)
	}
}

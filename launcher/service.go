package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/vms"
)

// service is the systemd unit of a VM.
type service struct {
	vm      string
	unit    string
	manager systemd.Manager
	state   systemd.State
}

// unitDir returns the directory of the user's own unit files.
func unitDir(e *Env) string {
	return filepath.Join(filepath.Dir(filepath.Dir(e.Store.Dirs.Config)), "systemd/user")
}

// userManager returns the user's systemd, if it can be reached.
func userManager(e *Env) (systemd.Manager, bool) {
	dir := e.Store.Dirs.Session
	environ := append(slices.Clone(e.Environ), "XDG_RUNTIME_DIR="+dir) // the last one counts
	return systemd.Manager{Environ: environ, Verbose: e.command}, systemd.Reachable(dir)
}

// serviceOf returns the unit of a VM, or nil if the VM has to be started directly: without a user manager, without
// the template unit, or from a definition that the unit would not find. A notice says why, if the user may not expect
// it.
func serviceOf(ctx context.Context, e *Env, ref string) *service {
	name, file, err := e.Store.Locate(ref)
	if err != nil || file != e.Store.Path(name) {
		return nil
	}
	manager, ok := userManager(e)
	if !ok {
		noticeNoManager(e, name)
		return nil
	}
	svc := &service{vm: name, unit: systemd.Name(name), manager: manager}
	svc.state, err = manager.State(ctx, svc.unit)
	if err == nil && svc.state.Load == "not-found" {
		return nil
	}
	if err == nil {
		err = sameDirs(ctx, e, manager)
	}
	if err != nil {
		e.notice("%s: not as a service: %v", name, err)
		return nil
	}
	return svc
}

// noticeNoManager says how to reach the user manager, if the user's own unit files show that the user wants it.
func noticeNoManager(e *Env, name string) {
	for _, file := range []string{systemd.TemplateFile, filepath.Join("default.target.wants", systemd.Name(name))} {
		if _, err := os.Lstat(filepath.Join(unitDir(e), file)); err == nil {
			e.notice("%s: not as a service: %s: %s", name, whyNoManager(e), ManagerCure)
			return
		}
	}
}

// ManagerCure is a command that starts a user manager, for the hint to a [*NoManagerError].
const ManagerCure = "loginctl enable-linger # or a login by ssh, or by machinectl shell"

func whyNoManager(e *Env) string {
	if e.Store.Dirs.Session == "" {
		return "no user manager: no runtime directory of yours, as under su and cron"
	}
	return "no user manager listens in " + e.Store.Dirs.Session
}

// sameDirs returns an error if the user manager would look for VMs in other directories than this process.
func sameDirs(ctx context.Context, e *Env, manager systemd.Manager) error {
	environment, err := manager.Environment(ctx)
	if err != nil {
		return err
	}
	theirs := vms.FindDirs(vms.Surroundings{Getenv: func(name string) string { return environment[name] },
		Home: environment["HOME"], UID: e.Store.UID, Tmp: os.TempDir(), Users: e.Users})
	for _, dir := range []struct{ what, ours, theirs string }{
		{"definitions", e.Store.Dirs.Config, theirs.Config},
		{"disks", e.Store.Dirs.Data, theirs.Data},
		{"logs", e.Store.Dirs.State, theirs.State},
		{"sockets", e.Store.Dirs.Runtime, theirs.Runtime},
	} {
		if dir.ours != dir.theirs {
			return fmt.Errorf("the user manager's environment has the %s in %s, this one in %s",
				dir.what, dir.theirs, dir.ours)
		}
	}
	return nil
}

// inUnit reports whether the QEMU of a VM is that of its unit.
func inUnit(vm vms.VM) bool {
	process, err := qemu.Find(vm)
	if err != nil {
		return false
	}
	defer process.Close()
	name, ok := systemd.Of(process.PID)
	return ok && name == systemd.Name(vm.Name)
}

// runUnitJob starts a unit with a job, and converts a failure to the error of the process in the unit.
func runUnitJob(ctx context.Context, e *Env, svc *service, vm vms.VM, job func() error) error {
	if svc.state.Stale {
		if err := svc.manager.Reload(ctx); err != nil {
			return err
		}
	}
	if svc.state.Active == "failed" { // for whatever reason; there may have been too many starts
		if err := svc.manager.ResetFailed(ctx, svc.unit); err != nil {
			return err
		}
	}
	err := job()
	if err != nil && ctx.Err() == nil && tooOften(ctx, e, svc) {
		err = svc.manager.Do(ctx, systemd.Start, svc.unit)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		e.notice("%s: systemd goes on starting it", svc.vm)
		return context.Cause(ctx)
	}
	if failure, ok := readFailure(vm); ok {
		return failure
	}
	state, unknown := svc.manager.State(ctx, svc.unit)
	switch {
	case unknown != nil, !state.Loaded():
		return err
	case state.Failure() != "":
		return &UnitError{svc.vm, state}
	case state.Active != "active":
		return ErrCalledOff
	}
	return err
}

// ErrCalledOff says that another command ended a start.
var ErrCalledOff = errors.New("another command called the start off")

// tooOften reports whether systemd refuses a start only because of the start limit. The limit is not meant for a user
// who types commands, so tooOften resets it.
func tooOften(ctx context.Context, e *Env, svc *service) bool {
	state, err := svc.manager.State(ctx, svc.unit)
	if err != nil || !state.StartLimitHit() {
		return false
	}
	e.notice("%s: started too often in a short time for systemd, which is told to forget that", svc.vm)
	return svc.manager.ResetFailed(ctx, svc.unit) == nil
}

// UnitError says that a unit failed, and how, if its process left no reason.
type UnitError struct {
	Name  string // the VM's
	State systemd.State
}

// Unit returns the name of the unit, for systemctl and journalctl.
func (e *UnitError) Unit() string { return systemd.Name(e.Name) }

func (e *UnitError) Error() string { return fmt.Sprintf("%s failed: %s", e.Unit(), e.State.Failure()) }

// unitGone is how long a unit may take to become inactive after its QEMU has ended.
const unitGone = 15 * time.Second

// announceEnd starts the manager's job to stop, or to restart, the unit, so that the manager does not take the end of
// QEMU for a failure. This process, which holds the VM's lock, ends the VM itself; the unit's own ExecStop waits for
// that lock. The returned function waits until the job is done; it is nil if no job is needed.
func announceEnd(ctx context.Context, e *Env, vm vms.VM, verb systemd.Verb) (wait func() error) {
	manager, ok := userManager(e)
	if !ok {
		return nil
	}
	switch {
	case inUnit(vm):
	case qemu.IsRunning(vm):
		return nil
	default:
		state, err := manager.State(ctx, systemd.Name(vm.Name))
		if err != nil || !state.Loaded() || state.Idle() {
			return nil
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := manager.Begin(ctx, verb, systemd.Name(vm.Name))
	return func() error {
		defer cancel()
		if err := done(); err != nil || verb != systemd.Stop {
			return err
		}
		return resetFailedUnit(ctx, manager, systemd.Name(vm.Name))
	}
}

// resetFailedUnit resets a unit that failed because of a requested end, even one with SIGKILL. Whether the manager
// sees the signal depends on timing: while the process that started QEMU still waits for the guest's address, the
// kernel reports the end to that process, not to the manager.
func resetFailedUnit(ctx context.Context, manager systemd.Manager, name string) error {
	state, err := manager.State(ctx, name)
	if err != nil || state.Active != "failed" {
		return err
	}
	return manager.ResetFailed(ctx, name)
}

// waitForUnit waits until the unit of a VM that has ended is inactive. If that takes too long, it is not an error.
func waitForUnit(e *Env, vm vms.VM, wait func() error) {
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
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrInterrupted) {
		e.notice("%s: has ended, but its unit: %v", vm.Name, err)
	}
}

// unitCause finds out why a start failed in a unit, if the remedy is not the same as at a terminal.
func unitCause(ctx context.Context, e *Env, name string, err error) error {
	if access := netsetup.AccessOf(err); access.LogInAgain {
		return &OldManagerError{err, access.Group, e.Store.UID}
	}
	if denied, ok := errors.AsType[*qemu.KVMError](err); ok && joinedLater(denied.Group) {
		return &OldManagerError{err, denied.Group, e.Store.UID}
	}
	byUnitFile := errors.Is(err, netsetup.ErrNoNewPrivs) || errors.Is(err, netsetup.ErrUserNamespace) ||
		errors.Is(err, netsetup.ErrNosuidMount)
	if !byUnitFile {
		return err
	}
	manager, _ := userManager(e)
	state, unknown := manager.State(ctx, systemd.Name(name))
	if unknown != nil {
		return err
	}
	if breaker, ok := systemd.FindBreaker(append(state.DropIns, state.Fragment)); ok {
		return &BreakerError{err, breaker}
	}
	return err
}

// BreakerError names the line of a unit file that caused an error. It does not unwrap to that error, which has
// another remedy.
type BreakerError struct {
	Err     error
	Breaker systemd.Breaker
}

func (e *BreakerError) Error() string {
	return fmt.Sprintf("%v: by %s in %s", e.Err, e.Breaker.Directive, e.Breaker.File)
}

// OldManagerError says that the user manager does not have a group to which the user was added after it had started.
// A new login has the group; a manager that lingers keeps the groups of its start. It does not unwrap, since the
// error has another remedy.
type OldManagerError struct {
	Err   error
	Group string
	UID   int // the user's
}

func (e *OldManagerError) Error() string {
	return fmt.Sprintf("%v: the user manager is older than your place in group %s", e.Err, e.Group)
}

// joinedLater reports whether this user was added to a group that this process does not have.
func joinedLater(group string) bool {
	g, err := user.LookupGroup(group)
	if err != nil {
		return false
	}
	gid, _ := strconv.Atoi(g.Gid)
	if has, err := os.Getgroups(); err != nil || slices.Contains(append(has, os.Getegid()), gid) {
		return false
	}
	u, err := user.Current()
	if err != nil {
		return false
	}
	ids, err := u.GroupIds()
	return err == nil && slices.Contains(ids, g.Gid)
}

package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/vms"
)

// How long a start in a unit waits for missing bridges, for the VM's lock, and for the address that it reports to
// systemd as the unit's status. The first two and QEMU's own start fit into TimeoutStartSec; the address is not part
// of the start, and may take long when many guests boot with their host.
const (
	unitBridges = 30 * time.Second
	unitLock    = 50 * time.Second
	unitAddress = 3 * time.Minute
)

// UnitStartRequest is a request of systemd to start a VM in its unit.
type UnitStartRequest struct {
	Name string
	// Judge returns the exit code and the hint for an error. UnitStart saves them, with the error's text, for the
	// command that requested the start from systemd.
	Judge func(error) (code int, hint string)
	// Clean removes what must not be printed to a terminal: systemctl prints the unit's status.
	Clean func(text string) string
}

// UnitStart is the ExecStart command of qlaunch@.service: it starts a VM, reports QEMU as the unit's main process to
// systemd, and returns when it has also reported the VM's address, or has given up waiting for it. NOTIFY_SOCKET in
// the Env's environment is systemd's; without it, UnitStart returns an error.
func UnitStart(ctx context.Context, e *Env, r UnitStartRequest) error {
	manager := e.getenv("NOTIFY_SOCKET")
	if manager == "" {
		return fmt.Errorf("unit-start %s: this is for systemd: systemctl --user start %s", r.Name, systemd.Name(r.Name))
	}
	g, err := startInUnit(ctx, e, r.Name)
	if err != nil {
		err = unitCause(ctx, e, r.Name, orInterrupted(err))
		code, hint := r.Judge(err)
		// Without a run directory no command waits for it.
		_ = writeFailure(bareVM(e, r.Name), &UnitStartError{err.Error(), hint, code})
		_ = systemd.Notify(manager, systemd.Status(systemd.NotStarted+r.Clean(err.Error())))
		return fmt.Errorf("up %s: %w", r.Name, err)
	}
	defer g.close()
	if err := systemd.Notify(manager, fmt.Sprintf("MAINPID=%d", g.process.PID), "READY=1"); err != nil {
		return fmt.Errorf("up %s: %w", r.Name, err)
	}
	tell := func(text string) { _ = systemd.Notify(manager, systemd.Status(r.Clean(text))) }
	// QEMU is the service now: it does not depend on this process, and systemd itself reports how it ends.
	address, err := await(ctx, e, g, GoalIP, unitAddress, tell)
	switch late, isLate := errors.AsType[*DeadlineError](err); {
	case isLate:
		tell(late.Error())
	case address.IsValid():
		tell(address.String())
	}
	return nil
}

func startInUnit(ctx context.Context, e *Env, name string) (*guest, error) {
	if err := qemu.CheckRunDir(bareVM(e, name).RunDir); err != nil {
		return nil, err
	}
	if err := forgetFailure(bareVM(e, name)); err != nil {
		return nil, err
	}
	vm, err := Load(e, name)
	if err != nil {
		return nil, err
	}
	if err := setRestart(ctx, e, vm); err != nil {
		return nil, err
	}
	awaitBridges(ctx, e, vm)
	located, err := qemu.Locate(vm, noQEMUs)
	if err != nil {
		return nil, err
	}
	s := start{ref: name, lockWait: unitLock, reached: orNobody(nil), watch: true}
	g, err := startOrAttach(ctx, e, s, located)
	if err == nil && !g.started {
		defer g.close()
		return nil, &ElsewhereError{name, g.process.PID}
	}
	return g, err
}

// awaitBridges waits for the bridges of a VM: at boot the user manager may start before the bridges exist. The start
// itself checks whether they do.
func awaitBridges(ctx context.Context, e *Env, vm vms.VM) {
	ctx, cancel := context.WithTimeout(ctx, unitBridges)
	defer cancel()
	for _, nic := range bridged(vm) {
		query := netsetup.CheckQuery{Bridge: nic.Bridge, Helper: vm.QEMU.Helper}
		if netsetup.NoBridgeYet(netsetup.Check(ctx, query).Err()) {
			_ = systemd.Notify(e.getenv("NOTIFY_SOCKET"), systemd.Status("waits for its bridge, "+nic.Bridge))
			_ = netsetup.AwaitBridge(ctx, query)
		}
	}
}

// setRestart writes the definition's restart option to the unit's drop-in. systemd reloads its files only if that
// changed.
func setRestart(ctx context.Context, e *Env, vm vms.VM) error {
	changed, err := systemd.SetRestart(unitDir(e), vm.Name, vm.Systemd.Restart == vms.RestartOnFailure)
	if err != nil || !changed {
		return err
	}
	manager, _ := userManager(e)
	return manager.Reload(ctx)
}

// ElsewhereError says that a VM runs outside of the unit that should start it. systemd does not accept a main process
// that is not in the unit's cgroup.
type ElsewhereError struct {
	Name string
	PID  int // QEMU's
}

func (e *ElsewhereError) Error() string {
	return fmt.Sprintf("it runs already, outside of its unit: QEMU, pid %d", e.PID)
}

// unitPatience is the time that ExecStop gives a guest at most. With the steps after it, it fits into TimeoutStopSec,
// and that into the time that the user manager gets when the host shuts down.
const unitPatience = 80 * time.Second

// UnitStop is the ExecStop command of qlaunch@.service: it shuts the VM down. MAINPID in the Env's environment is
// QEMU's process ID; systemd also runs ExecStop after QEMU has ended by itself, without MAINPID, and UnitStop then
// does nothing.
func UnitStop(ctx context.Context, e *Env, name string) error {
	pid, _ := strconv.Atoi(e.getenv("MAINPID"))
	if pid == 0 {
		return nil
	}
	if err := stopInUnit(ctx, e, name, pid); err != nil {
		return fmt.Errorf("down %s: %w", name, err)
	}
	return nil
}

func stopInUnit(ctx context.Context, e *Env, name string, pid int) error {
	vm, err := current(e, name)
	if isA[*NoVMError](err) || isA[vms.Errors](err) {
		vm, err = bareVM(e, name), nil // it was removed or became invalid; end what runs anyway
	}
	if err != nil {
		return err
	}
	lock, err := lockForStop(ctx, e, vm)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // without a run directory: systemd ends what is left
	}
	if err != nil {
		return err
	}
	if !runsAs(vm, pid) { // the previous holder of the lock has ended it
		return lock.Release()
	}
	way := shutdown{
		patience: min(time.Duration(vm.Shutdown.Timeout), unitPatience),
		tell:     func(text string) { _ = systemd.Notify(e.getenv("NOTIFY_SOCKET"), systemd.Status(text)) },
	}
	return errors.Join(endVM(ctx, e, vm, way), lock.Release())
}

// lockForStop waits for the VM's lock. A `qlaunch down` that holds it may take as long as its user allowed, so
// lockForStop asks systemd for more time while it waits.
func lockForStop(ctx context.Context, e *Env, vm vms.VM) (*qemu.Lock, error) {
	const every, more = 20 * time.Second, 60 * time.Second
	for {
		waiting, cancel := context.WithTimeout(ctx, every)
		lock, err := qemu.Acquire(waiting, vm, qemu.CommandDown)
		cancel()
		if !errors.Is(err, qemu.ErrBusy) || ctx.Err() != nil {
			return lock, err
		}
		extension := fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", more.Microseconds()+unitPatience.Microseconds())
		_ = systemd.Notify(e.getenv("NOTIFY_SOCKET"), extension)
	}
}

// runsAs reports whether a VM's QEMU has this process ID.
func runsAs(vm vms.VM, pid int) bool {
	process, err := qemu.Find(vm)
	if err != nil {
		return false
	}
	defer process.Close()
	return process.PID == pid
}

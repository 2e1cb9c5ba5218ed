package launcher

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
	"github.com/qlaunch/qlaunch/vms"
)

// NameError is an error about one of several VMs.
type NameError struct {
	Name string
	Err  error
}

// NameErrors are the errors of a function that was called with several names.
type NameErrors []NameError

func (e NameErrors) Error() string {
	texts := make([]string, len(e))
	for i, one := range e {
		texts[i] = one.Name + ": " + one.Err.Error()
	}
	return strings.Join(texts, "\n")
}

// forEach calls do for each name. It continues after a failure; the error is NameErrors.
func forEach(names []string, do func(name string) error) error {
	var failed NameErrors
	for _, name := range names {
		if err := do(name); err != nil {
			failed = append(failed, NameError{name, err})
		}
	}
	if failed == nil {
		return nil
	}
	return failed
}

// Enable makes VMs start with the user's systemd: at boot if the user lingers, else at login. It installs the units
// of this version unless the manager has them already, and enables lingering if that needs no password; a notice says
// what happens at logout.
//
// The error is a [*NoManagerError] if no manager can be reached, and NameErrors for errors about some of the VMs.
func Enable(ctx context.Context, e *Env, names []string) error {
	if err := forEach(names, func(name string) error { return definedByName(e, name) }); err != nil {
		return err
	}
	manager, err := needManager(e)
	if err != nil {
		return err
	}
	if err := installUnits(ctx, e, manager, systemd.Name(names[0])); err != nil {
		return err
	}
	err = forEach(names, func(name string) error { return manager.Enable(ctx, systemd.Name(name)) })
	if err == nil {
		linger(ctx, e)
	}
	return err
}

// Disable undoes Enable. It works for VMs whose definition no longer exists. Its errors are those of Enable.
func Disable(ctx context.Context, e *Env, names []string) error {
	for _, name := range names {
		if err := vms.CheckName(name); err != nil {
			return NameErrors{{name, &DefinitionError{err}}}
		}
	}
	manager, err := needManager(e)
	if err != nil {
		return err
	}
	return forEach(names, func(name string) error { return manager.Disable(ctx, systemd.Name(name)) })
}

// needManager returns the user manager, or a [*NoManagerError].
func needManager(e *Env) (systemd.Manager, error) {
	manager, ok := userManager(e)
	if !ok {
		return manager, &NoManagerError{whyNoManager(e)}
	}
	return manager, nil
}

// NoManagerError says that no user manager can be reached.
type NoManagerError struct{ Why string }

func (e *NoManagerError) Error() string { return e.Why }

// definedByName returns an error if the unit would not find the VM's definition.
func definedByName(e *Env, name string) error {
	vm, err := Load(e, name)
	if err != nil {
		return err
	}
	if vm.File != e.Store.Path(name) {
		return &DefinitionError{fmt.Errorf("a service is a VM by its name, whose definition is in %s",
			e.Store.Dirs.Config)}
	}
	return nil
}

// installUnits writes the unit files of this version to the user's directory and reloads the manager, unless the
// manager has them already. name is one of the units.
func installUnits(ctx context.Context, e *Env, manager systemd.Manager, name string) error {
	if e.Executable == "" {
		return errors.New("the path of this program is not known")
	}
	state, err := manager.State(ctx, name)
	if err != nil {
		return err
	}
	changed := false
	if !systemd.Same(state.Fragment, e.Executable) {
		if changed, err = systemd.Install(unitDir(e), e.Executable); err != nil {
			return err
		}
	}
	if changed || state.Stale {
		return manager.Reload(ctx)
	}
	return nil
}

// lingerDeadline is how long logind may take to reply.
const lingerDeadline = 5 * time.Second

// linger enables lingering for this user if polkit allows that without a prompt. Otherwise a notice says what happens
// at logout, and which command changes that.
func linger(ctx context.Context, e *Env) {
	if CheckLinger(e) == nil {
		return
	}
	asking, cancel := context.WithTimeout(ctx, lingerDeadline)
	defer cancel()
	argv := []string{"loginctl", "--no-ask-password", "enable-linger"}
	e.command(argv)
	_ = exec.CommandContext(asking, argv[0], argv[1:]...).Run() // the check below shows whether it worked
	if no, ok := errors.AsType[*qemu.LingerError](CheckLinger(e)); ok {
		e.notice("VMs start when you log in, and are shut down when you log out: "+
			"to start them at boot, sudo loginctl enable-linger %s", no.User)
		return
	}
	e.notice("you linger now: VMs start at boot, and a logout ends none")
}

// CheckLinger checks that this user's services survive the last logout. Otherwise the error is a [*qemu.LingerError].
func CheckLinger(e *Env) error {
	return qemu.CheckLinger(e.Store.Dirs.Runtime, e.Root, e.Store.UID)
}

// EndsAtLogout reports whether a VM ends at logout: it runs in its unit, and its user does not linger. A VM that was
// started outside of systemd keeps running, since logind does not kill the processes of a session
// (KillUserProcesses=no in logind.conf(5), as in Debian).
func EndsAtLogout(e *Env, name string) bool {
	if CheckLinger(e) == nil {
		return false
	}
	at, err := locate(e, name)
	return err == nil && inUnit(at)
}

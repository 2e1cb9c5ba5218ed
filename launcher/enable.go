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

// NameError is the error about one of several VMs.
type NameError struct {
	Name string
	Err  error
}

// NameErrors are the errors of a function that was given several names.
type NameErrors []NameError

func (e NameErrors) Error() string {
	texts := make([]string, len(e))
	for i, one := range e {
		texts[i] = one.Name + ": " + one.Err.Error()
	}
	return strings.Join(texts, "\n")
}

// forEach does something for one name after the other. A failure does not stop it; the error is NameErrors.
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

// Enable makes VMs start with the user's systemd: at boot when the user lingers, and else at login. It installs the
// units of this version where the manager does not read the same already, and lets the user linger where that takes
// no password; a notice says what a logout does.
//
// The error is a [*NoManagerError] where no manager can be reached, and NameErrors for what is wrong with some of the
// VMs.
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

// Disable undoes Enable. The definitions need not be there any more. Its errors are those of Enable.
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

// needManager is the user manager, or a [*NoManagerError].
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

// definedByName refuses a VM that a unit would not find.
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

// installUnits puts the unit files of this version into the user's own directory, unless the manager reads the same
// already, and has the manager read what is new. name is one of the units.
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

// lingerDeadline is how long logind may take to answer.
const lingerDeadline = 5 * time.Second

// linger lets this user's manager run without a login, where polkit allows that without a question, and else says
// what a logout does, and which command changes that.
func linger(ctx context.Context, e *Env) {
	if CheckLinger(e) == nil {
		return
	}
	asking, cancel := context.WithTimeout(ctx, lingerDeadline)
	defer cancel()
	argv := []string{"loginctl", "--no-ask-password", "enable-linger"}
	e.command(argv)
	_ = exec.CommandContext(asking, argv[0], argv[1:]...).Run() // whether it helped is looked at below
	if no, ok := errors.AsType[*qemu.LingerError](CheckLinger(e)); ok {
		e.notice("VMs start when you log in, and are shut down when you log out: "+
			"to start them at boot, sudo loginctl enable-linger %s", no.User)
		return
	}
	e.notice("you linger now: VMs start at boot, and a logout ends none")
}

// CheckLinger tells whether this user's services outlive the last logout. The error is a [*qemu.LingerError] where they
// do not.
func CheckLinger(e *Env) error {
	return qemu.CheckLinger(e.Store.Dirs.Runtime, e.Root, e.Store.UID)
}

// EndsAtLogout tells whether a logout ends a VM: it runs in its unit, and its user does not linger. A VM that was
// started outside of systemd runs on: logind leaves the processes of a login alone (KillUserProcesses=no of
// logind.conf(5), as Debian has it).
func EndsAtLogout(e *Env, name string) bool {
	if CheckLinger(e) == nil {
		return false
	}
	at, err := locate(e, name)
	return err == nil && inUnit(at)
}

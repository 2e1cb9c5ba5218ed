package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/launcher/unit"
	"github.com/qlaunch/qlaunch/vms"
)

type enableCmd struct {
	Names []string `arg:"" vm:"" name:"name" help:"VMs, each by its name."`
	Now   bool     `help:"Start them now, too, and print their addresses."`
}

func (enableCmd) Help() string {
	return "Makes VMs start with your systemd user manager: at boot when you linger, else when you log in. " +
		"Puts qlaunch@.service where it is read, if it is not there, and lets you linger where that takes no password."
}

func (enableCmd) Example() string { return "qlaunch enable guestvm --now" }

func (c *enableCmd) Run(ctx context.Context, s *session) error {
	names := once(c.Names)
	if err := s.enableAll(ctx, names); err != nil {
		return err
	}
	if !c.Now {
		return nil
	}
	up := upCmd{Wait: goalIP, Timeout: vms.Duration(time.Minute)}
	return s.bringAllUp(names, false, "enable", func(name string, stage func(string)) (netip.Addr, error) {
		return up.one(ctx, s, name, stage)
	})
}

func (s *session) enableAll(ctx context.Context, names []string) error {
	if err := each(names, func(name string) error { return s.definedByName(name) }, "enable"); err != nil {
		return err
	}
	manager, err := s.needManager()
	if err == nil {
		err = s.installUnits(ctx, manager, unit.Name(names[0]))
	}
	if err != nil {
		return of("enable", strings.Join(names, " "), err)
	}
	err = each(names, func(name string) error { return manager.Enable(ctx, unit.Name(name)) }, "enable")
	if err == nil {
		s.linger(ctx)
	}
	return err
}

// needManager is the user manager, or a [*noManagerError].
func (s *session) needManager() (unit.Manager, error) {
	manager, ok := s.manager()
	if !ok {
		return manager, &noManagerError{s.whyNoManager()}
	}
	return manager, nil
}

// noManagerError says that no user manager can be talked to.
type noManagerError struct{ why string }

func (e *noManagerError) Error() string { return e.why }

// definedByName refuses what a unit could not find.
func (s *session) definedByName(name string) error {
	vm, err := s.load(name)
	if err != nil {
		return err
	}
	if vm.File != s.store.Path(name) {
		return &definitionError{fmt.Errorf("a service is a VM by its name, whose definition is in %s", s.store.Dirs.Config)}
	}
	return nil
}

// installUnits puts the unit files of this version into the user's own
// directory, unless the manager reads the same already, and has the manager read what is new.
func (s *session) installUnits(ctx context.Context, manager unit.Manager, name string) error {
	if s.executable == "" {
		return errors.New("the path of this program is not known")
	}
	state, err := manager.State(ctx, name)
	if err != nil {
		return err
	}
	changed := false
	if !unit.Same(state.Fragment, s.executable) {
		if changed, err = unit.Install(s.unitDir(), s.executable); err != nil {
			return err
		}
	}
	if changed || state.Stale {
		return manager.Reload(ctx)
	}
	return nil
}

// checkLinger says whether this user's services end with the last logout: with a [*launcher.LingerError] if so.
func (s *session) checkLinger() error {
	return launcher.CheckLinger(s.store.Dirs.Runtime, s.root, s.store.UID)
}

// linger lets this user's manager run without a login, where polkit lets that
// through without a question, and else says what a logout does and the command.
func (s *session) linger(ctx context.Context) {
	if s.checkLinger() == nil {
		return
	}
	_ = s.loginctl(ctx, "--no-ask-password", "enable-linger")
	if no, ok := errors.AsType[*launcher.LingerError](s.checkLinger()); ok {
		s.notice("VMs start when you log in, and are shut down when you log out: to start them at boot, sudo loginctl enable-linger %s", no.User)
		return
	}
	s.notice("you linger now: VMs start at boot, and a logout ends none")
}

// lingerDeadline is how long logind may take to answer.
const lingerDeadline = 5 * time.Second

func (s *session) loginctl(ctx context.Context, words ...string) error {
	ctx, cancel := context.WithTimeout(ctx, lingerDeadline)
	defer cancel()
	argv := append([]string{"loginctl"}, words...)
	s.showCommand(argv)
	return exec.CommandContext(ctx, argv[0], argv[1:]...).Run()
}

package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

type upCmd struct {
	Names   []string     `arg:"" optional:"" vm:"" name:"name" help:"VMs, each by its name or by the path of its TOML file."`
	All     bool         `short:"a" help:"All defined VMs."`
	Wait    goal         `enum:"none,running,ip,ssh" default:"ip" help:"Return when QEMU runs (none or running), the address is known (ip), or sshd answers (ssh)."`
	Timeout vms.Duration `default:"60s" help:"How long to wait for that. The VM keeps running."`
	Linger  bool         `name:"require-linger" help:"Start nothing unless you linger, so that no logout ends it."`
	Direct  bool         `help:"Start without systemd, even if a user unit is available."`
	Timings bool         `help:"Print a timeline of the start on standard error."`
	DryRun  bool         `help:"Check all that a start needs, print QEMU's command line, start nothing."`
}

func (upCmd) Help() string {
	return "Prints the address, bare for one name and as NAME ADDRESS for several and for all. A VM that runs is left as it is."
}

func (upCmd) Example() string { return "qlaunch up guestvm --wait ssh" }

func (c *upCmd) Run(ctx context.Context, s *session) error {
	names, err := chosen(c.Names, c.All, "up", s.store.Names)
	if err != nil {
		return err
	}
	if c.Linger {
		if err := s.checkLinger(); err != nil {
			return fmt.Errorf("up: %w", err)
		}
	}
	if c.DryRun {
		return each(names, func(name string) error { return s.dryRun(ctx, name) }, "up")
	}
	var times timelines
	if c.Timings {
		times = newTimelines(names, s.began)
	}
	err = s.bringAllUp(names, c.All, "up", func(name string, stage func(string)) (netip.Addr, error) {
		return c.one(ctx, s.forStart(times[name], c.Wait), name, times[name].staged(stage))
	})
	times.print(s.stderr, names)
	s.warnOfLogout(names)
	return err
}

// warnOfLogout tells a user who does not linger of the one thing that ends VMs unasked. One that was started outside of systemd
// runs on: logind leaves a login's processes alone (KillUserProcesses=no of logind.conf(5), as Debian has it).
func (s *session) warnOfLogout(names []string) {
	if s.checkLinger() == nil {
		return
	}
	for _, ref := range names {
		if at, err := s.where(ref); err == nil && inUnit(at) {
			s.notice("a logout ends your VMs, as you do not linger: loginctl enable-linger")
			return
		}
	}
}

// bringAllUp makes VMs run, all side by side, and prints their addresses.
func (s *session) bringAllUp(names []string, all bool, what string, one func(name string, stage func(string)) (netip.Addr, error)) error {
	lines := newProgress(s, names)
	addresses := make([]netip.Addr, len(names))
	err := atOnce(names, func(i int, name string) error {
		var err error
		addresses[i], err = one(name, lines.stage(i))
		return err
	}, what)
	lines.done()
	for i, address := range addresses {
		switch {
		case !address.IsValid():
		case len(names) == 1 && !all:
			fmt.Fprintln(s.stdout, address)
		default:
			fmt.Fprintln(s.stdout, names[i], address)
		}
	}
	return err
}

func (c *upCmd) one(ctx context.Context, s *session, name string, stage func(string)) (netip.Addr, error) {
	stage("starts QEMU")
	watching, unwatch := context.WithCancel(ctx)
	defer s.watchConsole(watching, name)()
	defer unwatch()
	g, err := c.bringUp(ctx, s, name)
	if err != nil {
		return netip.Addr{}, orInterrupted(err)
	}
	defer g.close()
	return s.await(ctx, g, c.Wait, time.Duration(c.Timeout), stage)
}

// bringUp makes a VM run: through its unit, where it has one.
func (c *upCmd) bringUp(ctx context.Context, s *session, name string) (*guest, error) {
	vm, err := s.load(name)
	if err == nil {
		vm, err = launcher.Locate(vm, noQEMUs)
	}
	if err != nil {
		return nil, err
	}
	if !c.Direct && !launcher.IsRunning(vm) {
		if svc := s.service(ctx, name); svc != nil {
			return s.bringUpService(ctx, svc, name, time.Duration(c.Timeout))
		}
	}
	return s.bringUp(ctx, name, time.Duration(c.Timeout))
}

// dryRun goes as far as a start can without changing anything.
func (s *session) dryRun(ctx context.Context, name string) error {
	vm, err := s.load(name)
	if err != nil {
		return err
	}
	vm, helper, err := s.ready(ctx, vm)
	if err != nil {
		return err
	}
	uefi, err := launcher.FindUEFI(vm)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.stdout, shellLine(launcher.Args(vm, launcher.Files{Helper: helper, UEFI: uefi})))
	return nil
}

// once is the names as they were typed, without repetitions.
func once(names []string) []string {
	var unique []string
	for _, name := range names {
		if !slices.Contains(unique, name) {
			unique = append(unique, name)
		}
	}
	return unique
}

// of is the error of a command, with the word for that and the name that was typed; nil stays nil.
func of(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, name, err)
}

// each does something for one name after the other; a failure does not stop it.
func each(names []string, do func(name string) error, what string) error {
	var failed failures
	for _, name := range names {
		if err := of(what, name, do(name)); err != nil {
			failed = append(failed, err)
		}
	}
	return failed.err()
}

// atOnce does something for all names side by side; a failure does not stop the others.
func atOnce(names []string, do func(i int, name string) error, what string) error {
	errs := make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { errs[i] = do(i, name) })
	}
	all.Wait()
	var failed failures
	for i, err := range errs {
		if err != nil {
			failed = append(failed, of(what, names[i], err))
		}
	}
	return failed.err()
}

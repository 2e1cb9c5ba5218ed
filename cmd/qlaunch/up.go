package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

type upCmd struct {
	Names   []string      `arg:"" optional:"" vm:"" name:"name" help:"VMs, each by its name or by the path of its TOML file."`
	All     bool          `short:"a" help:"All defined VMs."`
	Wait    launcher.Goal `enum:"none,running,ip,ssh" default:"ip" help:"Return when QEMU runs (none or running), the address is known (ip), or sshd answers (ssh)."`
	Timeout vms.Duration  `default:"60s" help:"How long to wait for that. The VM keeps running."`
	Linger  bool          `name:"require-linger" help:"Start nothing unless you linger, so that no logout ends it."`
	Direct  bool          `help:"Start without systemd, even if a user unit is available."`
	Timings bool          `help:"Print a timeline of the start on standard error."`
	DryRun  bool          `help:"Check all that a start needs, print QEMU's command line, start nothing."`
}

func (upCmd) Help() string {
	return "Prints the address, bare for one name and as NAME ADDRESS for several and for all. A VM that runs is left as it is."
}

func (upCmd) Example() string { return "qlaunch up guestvm --wait ssh" }

func (c *upCmd) Run(ctx context.Context, s *session) error {
	names, err := chosen(c.Names, c.All, "up", s.env.Store.Names)
	if err != nil {
		return err
	}
	if c.Linger {
		if err := launcher.CheckLinger(s.env); err != nil {
			return fmt.Errorf("up: %w", err)
		}
	}
	if c.DryRun {
		return each(names, func(name string) error { return dryRun(ctx, s, name) }, "up")
	}
	var times timelines
	if c.Timings {
		times = newTimelines(names, s.began)
	}
	started := newProgress(s, names)
	err = atOnce(names, func(i int, name string) (err error) {
		r := launcher.UpRequest{
			Name: name, Wait: c.Wait, Timeout: time.Duration(c.Timeout), Direct: c.Direct, Stage: started.stage(i)}
		times[name].watch(&r)
		started.results[i], err = launcher.Up(ctx, s.env, r)
		return err
	}, "up")
	started.done(c.All)
	times.print(s.stderr, names)
	if slices.ContainsFunc(names, func(name string) bool { return launcher.EndsAtLogout(s.env, name) }) {
		s.Notice("a logout ends your VMs, as you do not linger: loginctl enable-linger")
	}
	return err
}

// dryRun prints the command line that a start would execute.
func dryRun(ctx context.Context, s *session, name string) error {
	argv, err := launcher.DryRun(ctx, s.env, name)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.stdout, shellLine(argv))
	return nil
}

package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
)

type statusCmd struct {
	Name   string `arg:"" vm:"" help:"A VM."`
	Output string `short:"o" enum:"text,json" default:"text" help:"Output format: ${enum}."`
}

func (statusCmd) Help() string {
	return "Exit code 0: the VM runs, or is paused. 3: it does not run, or is only starting. 4: there is no such VM. " +
		"1: QEMU runs and cannot be talked to: it does not answer, or its pid file is gone."
}

func (statusCmd) Example() string { return "qlaunch status guestvm || qlaunch up guestvm" }

func (c *statusCmd) Run(ctx context.Context, s *session) error {
	o, err := newVista(s, launcher.FindOrphan).look(ctx, c.Name)
	if err != nil {
		return fmt.Errorf("status %s: %w", c.Name, err)
	}
	s.addUnit(ctx, &o)
	if c.Output == "json" {
		err = printJSON(s.stdout, o)
	} else {
		err = printStatus(s.stdout, o)
	}
	if err != nil {
		return err
	}
	return exitOf(o.State)
}

// exitOf is a state as an exit code. One that is starting does not run yet, as for `systemctl is-active`.
func exitOf(state launcher.State) error {
	switch state {
	case launcher.Stopped, launcher.Starting:
		return exitError(exitNotRunning)
	case launcher.Unresponsive, launcher.Orphaned:
		return exitError(exitFailed)
	default:
		return nil
	}
}

func printStatus(w io.Writer, o overview) error {
	t := newTable(w)
	row := func(key, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s:\t%s\n", key, strings.ReplaceAll(clean(value), "\n", "\n\t"))
		}
	}
	state := string(o.State)
	if o.Reason != "" {
		state += " (" + o.Reason + ")"
	}
	row("name", o.Name)
	row("description", o.Description)
	row("state", state)
	row("address", o.Address)
	if o.Network != "" {
		row("network", o.Network+"\ncure: "+o.cure)
	}
	if o.PID != 0 {
		row("pid", fmt.Sprint(o.PID))
	}
	row("unit", o.Unit)
	if !o.Started.IsZero() {
		row("uptime", time.Since(o.Started).Truncate(time.Second).String())
	}
	if o.CPUs != 0 {
		row("memory", o.Memory.String())
		row("cpus", fmt.Sprint(o.CPUs))
	}
	file := o.File
	if o.Missing {
		file += " (not there)"
	}
	row("definition", file)
	switch {
	case o.Error != "":
		row("changed", "cannot be used any more:\n"+o.Error)
	case len(o.Changed) > 0:
		row("changed", strings.Join(o.Changed, ", ")+" (applied at the next start)")
	}
	return t.Flush()
}

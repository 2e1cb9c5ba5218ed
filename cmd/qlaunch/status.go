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
	info, err := launcher.Status(ctx, s.env, c.Name)
	if err != nil {
		return fmt.Errorf("status %s: %w", c.Name, err)
	}
	if c.Output == "json" {
		err = printJSON(s.stdout, info)
	} else {
		err = printStatus(s.stdout, info)
	}
	if err != nil {
		return err
	}
	return exitOf(info.State)
}

// exitOf returns the exit code for a state. A VM that is starting does not run yet, as in `systemctl is-active`.
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

func printStatus(w io.Writer, info launcher.Info) error {
	t := newTable(w)
	row := func(key, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s:\t%s\n", key, strings.ReplaceAll(clean(value), "\n", "\n\t"))
		}
	}
	state := string(info.State)
	if info.Reason != "" {
		state += " (" + info.Reason + ")"
	}
	row("name", info.Name)
	row("description", info.Description)
	row("state", state)
	row("address", info.Address)
	if info.Network != "" {
		_, cure := verdict(info.NetworkError)
		row("network", info.Network+"\ncure: "+cure)
	}
	if info.PID != 0 {
		row("pid", fmt.Sprint(info.PID))
	}
	row("unit", info.Unit)
	if !info.Started.IsZero() {
		row("uptime", time.Since(info.Started).Truncate(time.Second).String())
	}
	if info.CPUs != 0 {
		row("memory", info.Memory.String())
		row("cpus", fmt.Sprint(info.CPUs))
	}
	file := info.File
	if info.Missing {
		file += " (not there)"
	}
	row("definition", file)
	switch {
	case info.Error != "":
		row("changed", "cannot be used any more:\n"+info.Error)
	case len(info.Changed) > 0:
		row("changed", strings.Join(info.Changed, ", ")+" (applied at the next start)")
	}
	return t.Flush()
}

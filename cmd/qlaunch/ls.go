package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
)

type lsCmd struct {
	Output string `short:"o" enum:"table,json,name" default:"table" help:"Output format: ${enum}."`
}

func (lsCmd) Help() string {
	return "Every VM that is defined or runs: its name, state, address, memory, processors and how long it runs."
}

func (lsCmd) Example() string { return "qlaunch ls -o json" }

func (c *lsCmd) Run(ctx context.Context, s *session) error {
	if c.Output == "name" {
		names, err := launcher.Names(s.env)
		if err != nil {
			return fmt.Errorf("ls: %w", err)
		}
		for _, name := range names {
			fmt.Fprintln(s.stdout, name)
		}
		return nil
	}
	all, err := launcher.List(ctx, s.env, c.Output == "table")
	if err != nil {
		return fmt.Errorf("ls: %w", err)
	}
	if c.Output == "json" {
		return printJSON(s.stdout, all)
	}
	return printTable(s.stdout, all)
}

func printTable(w io.Writer, all []launcher.Info) error {
	t := newTable(w)
	fmt.Fprintln(t, "NAME\tSTATE\tADDRESS\tMEMORY\tCPUS\tUPTIME")
	for _, info := range all {
		memory, cpus, uptime := info.Memory.String(), fmt.Sprint(info.CPUs), "-"
		if info.CPUs == 0 { // nothing is known of it
			memory, cpus = "-", "-"
		}
		if !info.Started.IsZero() {
			uptime = time.Since(info.Started).Truncate(time.Second).String()
		}
		address := cmp.Or(info.Address, "-")
		if info.Network != "" {
			address = "off its bridge"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", info.Name, info.State, address, memory, cpus, uptime)
	}
	return t.Flush()
}

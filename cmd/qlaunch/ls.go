package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"
)

type lsCmd struct {
	Output string `short:"o" enum:"table,json,name" default:"table" help:"Output format: ${enum}."`
}

func (lsCmd) Help() string {
	return "Every VM that is defined or runs: its name, state, address, memory, processors and how long it runs."
}

func (lsCmd) Example() string { return "qlaunch ls -o json" }

func (c *lsCmd) Run(ctx context.Context, s *session) error {
	there, err := s.census()
	if err != nil {
		return fmt.Errorf("ls: %w", err)
	}
	if c.Output == "name" {
		for _, name := range there.names {
			fmt.Fprintln(s.stdout, name)
		}
		return nil
	}
	v := newVista(there.with(s), there.orphan)
	v.brief = c.Output == "table"
	all := v.lookAtAll(ctx, there)
	if c.Output == "json" {
		return printJSON(s.stdout, all)
	}
	return printTable(s.stdout, all)
}

func printTable(w io.Writer, all []overview) error {
	t := newTable(w)
	fmt.Fprintln(t, "NAME\tSTATE\tADDRESS\tMEMORY\tCPUS\tUPTIME")
	for _, o := range all {
		memory, cpus, uptime := o.Memory.String(), fmt.Sprint(o.CPUs), "-"
		if o.CPUs == 0 { // nothing is known of it
			memory, cpus = "-", "-"
		}
		if !o.Started.IsZero() {
			uptime = time.Since(o.Started).Truncate(time.Second).String()
		}
		address := cmp.Or(o.Address, "-")
		if o.Network != "" {
			address = "off its bridge"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", o.Name, o.State, address, memory, cpus, uptime)
	}
	return t.Flush()
}

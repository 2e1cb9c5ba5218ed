package main

import (
	"context"
	"fmt"

	"github.com/qlaunch/qlaunch/launcher"
)

type argvCmd struct {
	Name   string `arg:"" vm:"" help:"A VM."`
	Output string `short:"o" enum:"shell,json" default:"shell" help:"Output format: ${enum}."`
}

func (argvCmd) Help() string {
	return "The line can be pasted: it starts the VM without qlaunch. QEMU then runs the bridge helper itself, " +
		"which its sandbox does not allow, so such a line with a bridged NIC has no -sandbox; qlaunch up has it always. " +
		"Disks that are missing are not made."
}

func (argvCmd) Example() string { return "qlaunch argv guestvm -o json" }

func (c *argvCmd) Run(_ context.Context, s *session) error {
	argv, err := launcher.Argv(s.env, c.Name)
	switch {
	case err != nil:
		return fmt.Errorf("argv %s: %w", c.Name, err)
	case c.Output == "json":
		return printJSON(s.stdout, argv)
	}
	_, err = fmt.Fprintln(s.stdout, shellLines(argv))
	return err
}

package main

import (
	"context"
	"fmt"

	"github.com/qlaunch/qlaunch/netsetup/host"
)

type netTeardownCmd struct {
	Force  bool `short:"f" help:"Tear down even if VMs are attached; they lose their network."`
	DryRun bool `help:"Print what would be done, change nothing."`
}

func (netTeardownCmd) Help() string {
	return "Puts back what `net setup` found, byte for byte, wherever it is still as setup left it; what has changed since is left, and named."
}

func (netTeardownCmd) Example() string { return "sudo qlaunch net teardown" }

func (c *netTeardownCmd) Run(ctx context.Context, s *session) error {
	if c.DryRun {
		steps, left, err := host.PlanTeardown(ctx)
		if err != nil {
			return &netError{"teardown --dry-run", orInterrupted(err)}
		}
		s.showTeardown(steps, left)
		return nil
	}
	if err := host.Teardown(ctx, c.Force, s.showTeardown); err != nil {
		return &netError{"teardown", orInterrupted(err)}
	}
	return nil
}

func (s *session) showTeardown(steps []host.Step, left []host.Left) {
	if len(steps)+len(left) == 0 {
		fmt.Fprintln(s.stdout, "nothing to do: nothing is set up")
	}
	for i, step := range steps {
		fmt.Fprintln(s.stdout, clean(fmt.Sprintf("%2d. %s", i+1, step.Reverse().Undo())))
	}
	for _, item := range left {
		s.notice("%s %s", item.Item, item.Why)
	}
}

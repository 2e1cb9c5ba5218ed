package main

import (
	"context"
	"fmt"

	"github.com/qlaunch/qlaunch/netsetup/host"
)

// netReattachCmd is what qlaunch-net.service runs when the bridge is there.
type netReattachCmd struct {
	Bridge string `required:"" help:"The bridge."`
}

func (netReattachCmd) Help() string {
	return "Makes the taps of VMs that run ports of the bridge again, after it was removed and made anew."
}

func (netReattachCmd) Example() string { return "qlaunch net reattach --bridge=qlbr0" }

func (c *netReattachCmd) Run(ctx context.Context, s *session) error {
	if err := reattach(ctx, s, c.Bridge); err != nil {
		return fmt.Errorf("net reattach: %w", orInterrupted(err))
	}
	return nil
}

// reattach says which VMs are on the bridge again.
func reattach(ctx context.Context, s *session, bridge string) error {
	back, err := host.Reattach(ctx, bridge)
	for _, g := range back {
		fmt.Fprintln(s.stdout, clean(fmt.Sprintf("%s of %s, pid %d of %s, is a port of %s again",
			g.Tap, g.Name, g.PID, g.User, bridge)))
	}
	return err
}

package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/qlaunch/qlaunch/netsetup/host"
)

// netApplyCmd is what qlaunch-net.service runs.
type netApplyCmd struct {
	Bridge     string       `required:"" help:"The bridge."`
	Subnet     netip.Prefix `required:"" help:"The host's address on it."`
	Isolate    bool         `help:"Guests cannot reach one another."`
	HostAccess bool         `help:"Guests reach every service of the host."`
	Inbound    bool         `help:"Other networks of the host may open connections to guests."`
}

func (netApplyCmd) Help() string {
	return "Puts back what a boot, or the restart of a firewall, takes of what `net setup` made: the bridge, the rules around it, forwarding."
}

func (netApplyCmd) Example() string {
	return "qlaunch net apply --bridge=qlbr0 --subnet=192.168.123.1/24"
}

func (c *netApplyCmd) Run(ctx context.Context) error {
	want := host.Spec{Bridge: c.Bridge, Own: true, Subnet: c.Subnet, Forward: true,
		Isolate: c.Isolate, HostAccess: c.HostAccess, Inbound: c.Inbound}
	if err := host.Apply(ctx, want); err != nil {
		return fmt.Errorf("net apply: %w", orInterrupted(err))
	}
	return nil
}

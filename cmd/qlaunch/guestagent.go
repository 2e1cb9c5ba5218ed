package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/netsetup/lease"
	"github.com/qlaunch/qlaunch/qmp/agent"
	"github.com/qlaunch/qlaunch/vms"
)

// agentPatience is how long a guest agent that has its channel open may take to
// answer. A guest without one costs no time: QEMU knows that the channel is shut.
const agentPatience = 2 * time.Second

// told is what a guest says of its network interfaces, or why it does not.
type told struct {
	path       string
	interfaces []agent.Interface
	err        error
}

// hear asks the agent in the guest of a VM that runs, if there is one, for its interfaces.
func hear(ctx context.Context, vm vms.VM) told {
	t := told{path: qemu.AgentSocket(vm)}
	if t.err = qemu.AgentListens(ctx, vm); t.err != nil {
		if errors.Is(t.err, qemu.ErrNoAgent) {
			t.err = fs.ErrNotExist // as it is with any other source that this host does not have
		}
		return t
	}
	ctx, cancel := context.WithTimeout(ctx, agentPatience)
	defer cancel()
	t.interfaces, t.err = interfaces(ctx, vm)
	return t
}

// interfaces waits until the guest's agent answers, and asks it.
func interfaces(ctx context.Context, vm vms.VM) ([]agent.Interface, error) {
	a, err := qemu.OpenAgent(ctx, vm)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	return a.Interfaces(ctx)
}

// report is what the guest says of the NIC that is asked about.
func (t told) report(q lease.Query) lease.Report {
	claim := lease.Claim{Path: t.path, Interfaces: len(t.interfaces), Err: t.err}
	for _, i := range t.interfaces {
		if bytes.Equal(i.MAC, q.MAC) {
			claim.Matched = true
			claim.Addresses = append(claim.Addresses, i.Addresses...)
		}
	}
	return lease.Hear(q, claim)
}

// best is the likeliest of the addresses that the guest tells for the NICs that are asked about. The first that has one decides.
func (t told) best(queries []lease.Query) (lease.Address, bool) {
	for _, q := range queries {
		if best, ok := lease.Best([]lease.Report{t.report(q)}); ok {
			return best, true
		}
	}
	return lease.Address{}, false
}

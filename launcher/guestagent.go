package launcher

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

// agentTimeout is how long a guest agent that has opened its channel may take to reply. A guest without one costs no
// time, since QEMU knows that the channel is closed.
const agentTimeout = 2 * time.Second

// agentReport is what a guest reports about its network interfaces, or why it does not.
type agentReport struct {
	path       string
	interfaces []agent.Interface
	err        error
}

// askAgent queries the agent of a running VM, if there is one, for the guest's interfaces.
func askAgent(ctx context.Context, vm vms.VM) agentReport {
	t := agentReport{path: qemu.AgentSocket(vm)}
	if t.err = qemu.AgentListens(ctx, vm); t.err != nil {
		if errors.Is(t.err, qemu.ErrNoAgent) {
			t.err = fs.ErrNotExist // as for any other source that does not exist on this host
		}
		return t
	}
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	t.interfaces, t.err = agentInterfaces(ctx, vm)
	return t
}

// agentInterfaces waits until the guest agent responds, and queries it.
func agentInterfaces(ctx context.Context, vm vms.VM) ([]agent.Interface, error) {
	a, err := qemu.OpenAgent(ctx, vm)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	return a.Interfaces(ctx)
}

// report returns the lease report for one NIC.
func (t agentReport) report(q lease.Query) lease.Report {
	reply := lease.AgentReply{Path: t.path, Interfaces: len(t.interfaces), Err: t.err}
	for _, i := range t.interfaces {
		if bytes.Equal(i.MAC, q.MAC) {
			reply.Matched = true
			reply.Addresses = append(reply.Addresses, i.Addresses...)
		}
	}
	return lease.JudgeAgent(q, reply)
}

// best returns the most likely address that the guest reports for the NICs in queries, in their order.
func (t agentReport) best(queries []lease.Query) (lease.Address, bool) {
	for _, q := range queries {
		if best, ok := lease.Best([]lease.Report{t.report(q)}); ok {
			return best, true
		}
	}
	return lease.Address{}, false
}

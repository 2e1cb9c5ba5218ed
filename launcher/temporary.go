package launcher

// What cmd/qlaunch still needs of the helpers here, until its other commands have moved.

import (
	"context"
	"net"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

// AgentTimeout is agentTimeout.
const AgentTimeout = agentTimeout

// Current is current.
func Current(e *Env, ref string) (vms.VM, error) { return current(e, ref) }

// CurrentRunning is currentRunning.
func CurrentRunning(e *Env, ref string) (vms.VM, *qemu.Process, error) { return currentRunning(e, ref) }

// FindProcess is findProcess.
func FindProcess(vm vms.VM) (*qemu.Process, error) { return findProcess(vm) }

// OnMonitor is onMonitor.
func OnMonitor(ctx context.Context, vm vms.VM, timeout time.Duration, do func(context.Context, *qmp.Monitor) error) error {
	return onMonitor(ctx, vm, timeout, do)
}

// Ended is ended.
func Ended(ctx context.Context, process *qemu.Process) bool { return ended(ctx, process) }

// Trimming is trimming.
func Trimming(ctx context.Context, vm vms.VM) func() { return trimming(ctx, vm) }

// Bridged is bridged.
func Bridged(vm vms.VM) []vms.NIC { return bridged(vm) }

// MACsOn is macsOn.
func MACsOn(vm vms.VM, bridge string) []net.HardwareAddr { return macsOn(vm, bridge) }

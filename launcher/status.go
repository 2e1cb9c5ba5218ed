package launcher

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/netsetup/lease"
	"github.com/qlaunch/qlaunch/vms"
)

// State is the state of a VM.
type State = qemu.State

// The states that callers distinguish; package qemu has the others.
const (
	Stopped      = qemu.Stopped      // it does not run
	Starting     = qemu.Starting     // a command or its unit is starting it
	Running      = qemu.Running      // QEMU runs, and the guest with it
	Unresponsive = qemu.Unresponsive // QEMU runs, but does not respond
	Orphaned     = qemu.Orphaned     // QEMU runs, but cannot be reached

	Invalid State = "invalid" // it does not run, and its definition cannot be used
)

// Info is the state of a VM. Its JSON format is stable.
type Info struct {
	Name        string    `json:"name"`
	State       State     `json:"state"`
	Reason      string    `json:"reason,omitzero"` // for states that have one
	Address     string    `json:"address,omitzero"`
	Network     string    `json:"network,omitzero"` // why its NIC is not on its bridge
	Description string    `json:"description,omitzero"`
	Memory      vms.Size  `json:"memory,omitzero"`
	CPUs        int       `json:"cpus,omitzero"` // 0: only the VM's name is known
	PID         int       `json:"pid,omitzero"`  // QEMU's
	Started     time.Time `json:"started,omitzero"`
	Unit        string    `json:"unit,omitzero"`    // the systemd unit that QEMU runs in
	Changed     []string  `json:"changed,omitzero"` // keys of the definition that differ from the running VM
	File        string    `json:"file"`             // the definition
	Missing     bool      `json:"missing,omitzero"` // it does not exist, although the VM runs
	Error       string    `json:"error,omitzero"`   // why the definition cannot be used

	NetworkError error `json:"-"` // the error behind Network
}

// Status returns the state of a VM.
func Status(ctx context.Context, e *Env, name string) (Info, error) {
	vm, err := current(e, name)
	if err != nil {
		return Info{}, err
	}
	info, err := newSurvey(e, qemu.FindOrphan).lookAt(ctx, name, vm)
	if err != nil {
		return Info{}, err
	}
	addUnitState(ctx, e, &info)
	return info, nil
}

// survey looks at many VMs. It reads what belongs to the whole host once for all of them, when the first VM needs it,
// and limits how much work runs in parallel: reading a thousand definitions at once would delay QEMU's replies beyond
// their deadline.
type survey struct {
	env    *Env
	orphan func(vms.VM) (qemu.Orphan, bool, error) // returns the QEMU of a VM that cannot be reached, if it has one
	turns  chan struct{}
	brief  bool // skip the unit and the changes of the definition

	loose     func() []string // the host's taps that are on no bridge
	mu        sync.Mutex
	snapshots map[string]func() lease.Snapshot // by bridge, and by what was read
}

func newSurvey(e *Env, orphan func(vms.VM) (qemu.Orphan, bool, error)) *survey {
	return &survey{env: e, orphan: orphan, turns: make(chan struct{}, runtime.GOMAXPROCS(0)),
		snapshots: map[string]func() lease.Snapshot{}, loose: sync.OnceValue(netsetup.LooseTaps)}
}

// lookAt returns the state of a VM whose definition was read.
func (s *survey) lookAt(ctx context.Context, ref string, vm vms.VM) (Info, error) {
	status, err := qemu.Ask(ctx, vm)
	if err != nil {
		return Info{}, err
	}
	info := infoOf(vm, status)
	switch {
	case status.PID == 0:
		return info.orOrphan(s.orphan(vm))
	case status.State == qemu.Orphaned:
		return info, nil
	}
	if !s.brief {
		s.work(func() {
			info.Unit, _ = systemd.Of(status.PID)
			compareDefinition(s.env, &info, ref, vm)
		})
	}
	if status.State == qemu.Starting {
		return info, nil
	}
	if info.NetworkError = s.offBridge(vm, status.PID); info.NetworkError != nil {
		info.Network = info.NetworkError.Error()
	}
	if address, ok := s.address(ctx, vm, status); ok {
		info.Address = address.IP.String()
	}
	return info, nil
}

func infoOf(vm vms.VM, status qemu.Status) Info {
	return Info{Name: vm.Name, State: status.State, Reason: status.Reason, Description: vm.Description,
		Memory: vm.Memory, CPUs: vm.CPUs, PID: status.PID, Started: status.Started, File: vm.File}
}

// orOrphan is the state of a VM without a QEMU that can be reached: it may have one that cannot.
func (i Info) orOrphan(orphan qemu.Orphan, found bool, err error) (Info, error) {
	if found {
		i.State, i.Reason, i.PID, i.Started = qemu.Orphaned, "its pid file is gone", orphan.PID, orphan.Started
	}
	return i, err
}

// compareDefinition finds out how the definition of a running VM has changed since its start.
func compareDefinition(e *Env, info *Info, ref string, startedAs vms.VM) {
	ref = origin(e, ref)
	_, info.File, _ = e.Store.Locate(ref)
	now, err := Load(e, ref)
	switch {
	case isA[*NoVMError](err):
		info.Missing = true
	case err != nil:
		info.Error = err.Error()
	default:
		info.Changed = vms.Changed(startedAs, now)
	}
}

// address returns the most likely address of a running VM. It ignores an unconfirmed lease of an earlier start, which
// may be another VM's by now. It queries the guest only if no other source has an address.
func (s *survey) address(ctx context.Context, vm vms.VM, status qemu.Status) (lease.Address, bool) {
	nics := addressed(vm)
	queries := make([]lease.Query, len(nics))
	for i, nic := range nics {
		queries[i] = leaseQuery(s.env, vm, nic, status.Started)
	}
	for _, snapshot := range []func(context.Context, string) lease.Snapshot{s.snapshot, s.wholeSnapshot} {
		for i, nic := range nics {
			if best, ok := lease.Best(snapshot(ctx, nic.Bridge).Look(queries[i])); ok && !doubtful(best) {
				return best, true
			}
		}
	}
	if len(nics) == 0 || status.State != qemu.Running {
		return lease.Address{}, false
	}
	asking, cancel := context.WithTimeout(ctx, agentInList)
	defer cancel()
	return askAgent(asking, vm).best(queries)
}

// agentInList is the timeout of a guest agent when many VMs are looked at, after QEMU had a second already.
const agentInList = time.Second

// offBridge returns an error if a tap of the VM is on no bridge. If every tap of the host is on a bridge, which is
// quick to check, it does nothing else.
func (s *survey) offBridge(vm vms.VM, pid int) error {
	loose := s.loose()
	isLoose := func(tap string) bool { return slices.Contains(loose, tap) }
	if len(loose) == 0 || !slices.ContainsFunc(netsetup.Taps(pid), isLoose) {
		return nil
	}
	for _, nic := range bridged(vm) {
		query := netsetup.CheckQuery{Bridge: nic.Bridge, Root: s.env.Root, MACs: macsOn(vm, nic.Bridge), PID: pid}
		err := netsetup.Silence(query)
		if errors.Is(err, netsetup.ErrTapDetached) || errors.Is(err, netsetup.ErrNoBridge) {
			return err
		}
	}
	return nil
}

// work limits the work that needs a processor. Nothing in it may block.
func (s *survey) work(do func()) {
	s.turns <- struct{}{}
	defer func() { <-s.turns }()
	do()
}

// snapshot returns what the sources of addresses have for a bridge.
func (s *survey) snapshot(ctx context.Context, bridge string) lease.Snapshot {
	return s.once(bridge, func() lease.Snapshot { return lease.Survey(ctx, s.env.Root, bridge) })
}

// wholeSnapshot is the snapshot with the lease file that the bridge's server was configured to use. Finding it needs
// a look at every process of the host.
func (s *survey) wholeSnapshot(ctx context.Context, bridge string) lease.Snapshot {
	return s.once(bridge+"/server", func() lease.Snapshot { // no bridge has a slash in its name
		return s.snapshot(ctx, bridge).With(ctx, s.env.Root, serverLeases(s.env, bridge))
	})
}

// once takes a snapshot unless it was taken before.
func (s *survey) once(key string, snapshot func() lease.Snapshot) lease.Snapshot {
	s.mu.Lock()
	take, ok := s.snapshots[key]
	if !ok {
		take = sync.OnceValue(snapshot)
		s.snapshots[key] = take
	}
	s.mu.Unlock()
	return take()
}

// addUnitState adds to a VM that does not run what its unit knows: the kernel and QEMU know nothing about a QEMU that
// has ended or will be started.
func addUnitState(ctx context.Context, e *Env, info *Info) {
	manager, ok := userManager(e)
	if !ok || info.State != qemu.Stopped {
		return
	}
	state, err := manager.State(ctx, systemd.Name(info.Name))
	if err != nil || !state.Loaded() {
		return
	}
	switch why := state.Failure(); {
	case state.Sub == "auto-restart":
		info.Reason = systemd.Name(info.Name) + " failed: " + why + "; systemd starts it again"
	case why != "":
		info.Reason = systemd.Name(info.Name) + " failed: " + why
	case state.Active == "activating":
		info.State, info.Reason = qemu.Starting, "by "+systemd.Name(info.Name)+", which "+state.Status
	}
}

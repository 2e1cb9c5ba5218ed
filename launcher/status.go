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

// State is what a VM does.
type State = qemu.State

// The states that a caller tells apart; package qemu has the others.
const (
	Stopped      = qemu.Stopped      // it does not run
	Starting     = qemu.Starting     // it will run: a command, or its unit, is starting it
	Running      = qemu.Running      // QEMU runs, and the guest with it
	Unresponsive = qemu.Unresponsive // QEMU runs, and does not answer
	Orphaned     = qemu.Orphaned     // QEMU runs, and cannot be reached

	Invalid State = "invalid" // it does not run, and its definition cannot be used
)

// Info is what a VM does. Its JSON is a contract.
type Info struct {
	Name        string    `json:"name"`
	State       State     `json:"state"`
	Reason      string    `json:"reason,omitzero"` // of a state that needs one
	Address     string    `json:"address,omitzero"`
	Network     string    `json:"network,omitzero"` // what keeps its NIC off its bridge
	Description string    `json:"description,omitzero"`
	Memory      vms.Size  `json:"memory,omitzero"`
	CPUs        int       `json:"cpus,omitzero"` // 0: nothing is known of the VM but its name
	PID         int       `json:"pid,omitzero"`  // QEMU's
	Started     time.Time `json:"started,omitzero"`
	Unit        string    `json:"unit,omitzero"`    // the systemd unit that QEMU runs in
	Changed     []string  `json:"changed,omitzero"` // keys of the definition that differ from what runs
	File        string    `json:"file"`             // the definition
	Missing     bool      `json:"missing,omitzero"` // it is not there, though the VM runs
	Error       string    `json:"error,omitzero"`   // why the definition cannot be used

	NetworkError error `json:"-"` // the error behind Network
}

// Status tells what a VM does.
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

// survey is a look at many VMs. What belongs to the whole host is asked once for all of them, when the first needs
// it, and what takes a processor takes turns: a thousand definitions that are read at the same time would keep an
// answer of QEMU's waiting until its deadline is over.
type survey struct {
	env    *Env
	orphan func(vms.VM) (qemu.Orphan, bool, error) // the QEMU of a VM that cannot be reached, if it has one
	turns  chan struct{}
	brief  bool // the unit and the changes of the definition are not looked at

	loose     func() []string // the host's taps that are a port of no bridge
	mu        sync.Mutex
	snapshots map[string]func() lease.Snapshot // by the bridge, and what was looked at
}

func newSurvey(e *Env, orphan func(vms.VM) (qemu.Orphan, bool, error)) *survey {
	return &survey{env: e, orphan: orphan, turns: make(chan struct{}, runtime.GOMAXPROCS(0)),
		snapshots: map[string]func() lease.Snapshot{}, loose: sync.OnceValue(netsetup.LooseTaps)}
}

// lookAt tells what a VM does that has been read.
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

// orOrphan is what a VM does without a QEMU that can be reached: it may have one that cannot.
func (i Info) orOrphan(orphan qemu.Orphan, found bool, err error) (Info, error) {
	if found {
		i.State, i.Reason, i.PID, i.Started = qemu.Orphaned, "its pid file is gone", orphan.PID, orphan.Started
	}
	return i, err
}

// compareDefinition says how the definition of a VM that runs has changed since its start.
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

// address is the likeliest address of a VM that runs. A lease of an earlier start that nothing confirms does not
// count: it may be another VM's by now. The guest itself is asked when no other source has one.
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

// agentInList is how long a guest's agent may take where many VMs are looked at, and QEMU had a second already.
const agentInList = time.Second

// offBridge says what keeps a VM off one of its bridges: its tap is a port of none. Where every tap of the host is a
// port of a bridge, which is seen at once, nothing is looked for.
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

// work does what takes a processor. Nothing in it may wait for anybody.
func (s *survey) work(do func()) {
	s.turns <- struct{}{}
	defer func() { <-s.turns }()
	do()
}

// snapshot is what the sources of addresses hold for a bridge.
func (s *survey) snapshot(ctx context.Context, bridge string) lease.Snapshot {
	return s.once(bridge, func() lease.Snapshot { return lease.Survey(ctx, s.env.Root, bridge) })
}

// wholeSnapshot is the snapshot with the lease file that the bridge's server was told to keep, for which every
// process of the host has to be looked at.
func (s *survey) wholeSnapshot(ctx context.Context, bridge string) lease.Snapshot {
	return s.once(bridge+"/server", func() lease.Snapshot { // no bridge has a slash in its name
		return s.snapshot(ctx, bridge).With(ctx, s.env.Root, serverLeases(s.env, bridge))
	})
}

// once takes a snapshot unless it has been taken.
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

// addUnitState says of a VM that does not run what its unit knows: the kernel and QEMU know nothing any more of a
// QEMU that has ended, nor yet of one that is to come.
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

package main

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/netsetup/leases"
	"github.com/qlaunch/qlaunch/vms"
)

// overview is what ls and status tell of a VM. Its JSON is a contract.
type overview struct {
	Name    string         `json:"name"`
	State   launcher.State `json:"state"`
	Reason  string         `json:"reason,omitzero"` // of paused and unresponsive
	Address string         `json:"address,omitzero"`
	Memory  vms.Size       `json:"memory,omitzero"`
	CPUs    int            `json:"cpus,omitzero"`
	PID     int            `json:"pid,omitzero"`
	Started time.Time      `json:"started,omitzero"`
	Changed []string       `json:"changed,omitzero"` // keys of the definition that differ from what runs
	File    string         `json:"file"`             // the definition
	Missing bool           `json:"missing,omitzero"` // it is not there, though the VM runs
	Error   string         `json:"error,omitzero"`   // why the definition cannot be used
}

// invalid is the state of a VM that does not run and whose definition cannot be used.
const invalid launcher.State = "invalid"

// look gathers the overview of a VM that the user names.
func (s *session) look(ctx context.Context, ref string) (overview, error) {
	vm, err := s.managed(ref)
	if err != nil {
		return overview{}, err
	}
	status, err := launcher.Ask(ctx, vm)
	if err != nil {
		return overview{}, err
	}
	o := overview{Name: vm.Name, State: status.State, Reason: status.Reason, Memory: vm.Memory, CPUs: vm.CPUs,
		PID: status.PID, Started: status.Started, File: vm.File}
	if status.State == launcher.Stopped {
		return o, nil
	}
	s.compare(&o, ref, vm)
	if address, ok := s.address(ctx, vm, status.Started); ok {
		o.Address = address.IP.String()
	}
	return o, nil
}

// compare says how the definition of a VM that runs has changed since its start.
func (s *session) compare(o *overview, ref string, started vms.VM) {
	_, o.File, _ = s.store.Locate(ref)
	now, err := s.load(ref)
	switch {
	case isA[*noVMError](err):
		o.Missing = true
	case err != nil:
		o.Error = err.Error()
	default:
		o.Changed = vms.Changed(started, now)
	}
}

// address is the best known address of a VM that runs. A lease of an earlier
// start that nothing confirms is none: it may be another's by now.
func (s *session) address(ctx context.Context, vm vms.VM, started time.Time) (leases.Address, bool) {
	for _, nic := range bridged(vm) {
		if address, ok := leases.Best(leases.Look(ctx, s.query(nic, started))); ok && !stale(address) {
			return address, true
		}
	}
	return leases.Address{}, false
}

// stale says that an address is known from before the start only.
func stale(address leases.Address) bool { return address.Freshness == leases.Older && !address.Live }

// names are the VMs that are defined, and those that run without a definition in its place.
func (s *session) names() ([]string, error) {
	names, err := s.store.Names()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(s.store.Dirs.Runtime)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for _, entry := range entries {
		started, err := s.store.Started(entry.Name())
		if err == nil && launcher.IsRunning(started) && !slices.Contains(names, entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

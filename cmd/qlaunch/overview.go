package main

import (
	"context"
	"errors"
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
	Memory  vms.Size       `json:"memory"`
	CPUs    int            `json:"cpus"`
	PID     int            `json:"pid,omitzero"`
	Started time.Time      `json:"started,omitzero"`
	Changed []string       `json:"changed,omitzero"` // keys of the definition that differ from what runs
	File    string         `json:"file,omitzero"`    // the definition; none when it is gone
	Error   string         `json:"error,omitzero"`   // why the definition cannot be used
}

// invalid is the state of a VM that does not run and whose definition cannot be used.
const invalid launcher.State = "invalid"

// look gathers a VM's overview.
func (s *session) look(ctx context.Context, name string) (overview, error) {
	vm, err := s.managed(name)
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
	s.compare(&o, vm)
	if address, ok := s.address(ctx, vm, status.Started); ok {
		o.Address = address.IP.String()
	}
	return o, nil
}

// compare says how the definition of a VM that runs has changed since its start.
func (s *session) compare(o *overview, started vms.VM) {
	now, err := s.load(o.Name)
	if _, gone := errors.AsType[*noVMError](err); gone {
		o.File = ""
		return
	}
	o.File = s.store.Path(o.Name)
	if err != nil {
		o.Error = err.Error()
		return
	}
	o.Changed = vms.Changed(started, now)
}

// address is the best known address of a VM that runs.
func (s *session) address(ctx context.Context, vm vms.VM, started time.Time) (leases.Address, bool) {
	for _, nic := range bridged(vm) {
		if address, ok := leases.Best(leases.Look(ctx, s.query(nic, started))); ok {
			return address, true
		}
	}
	return leases.Address{}, false
}

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

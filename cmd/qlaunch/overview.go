package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/netsetup/lease"
	"github.com/qlaunch/qlaunch/vms"
)

// overview is what ls and status tell of a VM. Its JSON is a contract.
type overview struct {
	Name        string     `json:"name"`
	State       qemu.State `json:"state"`
	Reason      string     `json:"reason,omitzero"` // of paused, unresponsive, starting and orphan, and of stopped where the unit failed
	Address     string     `json:"address,omitzero"`
	Network     string     `json:"network,omitzero"` // what keeps its NIC off its bridge
	Description string     `json:"description,omitzero"`
	Memory      vms.Size   `json:"memory,omitzero"`
	CPUs        int        `json:"cpus,omitzero"`
	PID         int        `json:"pid,omitzero"`
	Started     time.Time  `json:"started,omitzero"`
	Unit        string     `json:"unit,omitzero"`    // the systemd unit that QEMU runs in
	Changed     []string   `json:"changed,omitzero"` // keys of the definition that differ from what runs
	File        string     `json:"file"`             // the definition
	Missing     bool       `json:"missing,omitzero"` // it is not there, though the VM runs
	Error       string     `json:"error,omitzero"`   // why the definition cannot be used

	cure string // of what Network says
}

// invalid is the state of a VM that does not run and whose definition cannot be used.
const invalid qemu.State = "invalid"

// look gathers the overview of a VM that the user names.
func (v *vista) look(ctx context.Context, ref string) (overview, error) {
	vm, err := v.s.managed(ref)
	if err != nil {
		return overview{}, err
	}
	return v.lookAt(ctx, ref, vm)
}

// lookAt is look for a VM that has been read.
func (v *vista) lookAt(ctx context.Context, ref string, vm vms.VM) (overview, error) {
	status, err := qemu.Ask(ctx, vm)
	if err != nil {
		return overview{}, err
	}
	o := overviewOf(vm, status)
	switch {
	case status.PID == 0:
		return o.orOrphan(v.orphan(vm))
	case status.State == qemu.Orphaned:
		return o, nil
	}
	if !v.brief {
		v.work(func() {
			o.Unit, _ = systemd.Of(status.PID)
			v.s.compare(&o, ref, vm)
		})
	}
	if status.State == qemu.Starting {
		return o, nil
	}
	o.Network, o.cure = v.offBridge(vm, status.PID)
	if address, ok := v.address(ctx, vm, status); ok {
		o.Address = address.IP.String()
	}
	return o, nil
}

func overviewOf(vm vms.VM, status qemu.Status) overview {
	return overview{Name: vm.Name, State: status.State, Reason: status.Reason, Description: vm.Description, Memory: vm.Memory, CPUs: vm.CPUs,
		PID: status.PID, Started: status.Started, File: vm.File}
}

// orOrphan is the overview of a VM without a QEMU that can be reached: it may have one that cannot.
func (o overview) orOrphan(orphan qemu.Orphan, found bool, err error) (overview, error) {
	if found {
		o.State, o.Reason, o.PID, o.Started = qemu.Orphaned, "its pid file is gone", orphan.PID, orphan.Started
	}
	return o, err
}

// compare says how the definition of a VM that runs has changed since its start.
func (s *session) compare(o *overview, ref string, started vms.VM) {
	ref = s.origin(ref)
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
// start that nothing confirms is none: it may be another's by now. The guest
// itself is asked when nobody else has one.
func (v *vista) address(ctx context.Context, vm vms.VM, status qemu.Status) (lease.Address, bool) {
	nics := addressed(vm)
	for _, picture := range []func(context.Context, string) lease.Picture{v.picture, v.wholePicture} {
		for _, nic := range nics {
			if address, ok := lease.Best(picture(ctx, nic.Bridge).Look(v.s.query(vm, nic, status.Started))); ok && !doubtful(address) {
				return address, true
			}
		}
	}
	if len(nics) == 0 || status.State != qemu.Running {
		return lease.Address{}, false
	}
	asking, cancel := context.WithTimeout(ctx, guestsWord)
	defer cancel()
	t := hear(asking, vm)
	queries := make([]lease.Query, len(nics))
	for i, nic := range nics {
		queries[i] = v.s.query(vm, nic, status.Started)
	}
	return t.best(queries)
}

// guestsWord is how long a guest's agent may take where many are looked at, and QEMU had a second already.
const guestsWord = time.Second

// doubtful says that an address may be another's by now, and nothing has confirmed that it is the guest's.
func doubtful(address lease.Address) bool { return stale(address) || address.Holder != "" }

// stale says that an address is known from before the start only.
func stale(address lease.Address) bool { return address.Freshness == lease.Older && !address.Live }

// offBridge says what keeps a VM off a bridge of its, and how to mend it: its tap is a port of none. Where every tap of the
// host is one of something, which is seen at once, nothing is looked for.
func (v *vista) offBridge(vm vms.VM, pid int) (what, cure string) {
	loose := v.loose()
	if len(loose) == 0 || !slices.ContainsFunc(netsetup.Taps(pid), func(tap string) bool { return slices.Contains(loose, tap) }) {
		return "", ""
	}
	for _, nic := range bridged(vm) {
		err := netsetup.Silence(netsetup.CheckQuery{Bridge: nic.Bridge, Root: v.s.root, MACs: macsOn(vm, nic.Bridge), PID: pid})
		if errors.Is(err, netsetup.ErrTapDetached) || errors.Is(err, netsetup.ErrNoBridge) {
			_, cure = verdict(err)
			return err.Error(), cure
		}
	}
	return "", ""
}

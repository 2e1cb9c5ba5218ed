package launcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/netsetup/lease"
	"github.com/qlaunch/qlaunch/vms"
)

// AddressRequest is a request for the address of a running VM.
type AddressRequest struct {
	Name    string
	All     bool // return every known address, also of NICs that [ssh] nic excludes
	Explain bool // return what each source has; a missing address is then no error
}

// AddressResult is what is known about a VM's address.
type AddressResult struct {
	Address   lease.Address   // the most likely one; the zero Address if none is known
	Addresses []lease.Address // with All, every known address, the most likely first; else only Address
	NICs      []vms.NIC       // the NICs that were looked up
	Reports   []lease.Report  // what each source has for these NICs
}

// ErrNoAddress says that no source has an address of the guest.
var ErrNoAddress = errors.New("no address is known yet")

// ErrNoBridgedNIC says that a VM has no NIC whose address the host could know.
var ErrNoBridgedNIC = errors.New("it has no bridged NIC")

// Address looks up the address of a running VM in the lease files, in the kernel's tables and finally with the guest
// agent. If it returns an address that is in doubt, a notice says why.
//
// The error is qemu.ErrNotRunning, ErrNoBridgedNIC, or a [*NoAddressError] with the reason.
func Address(ctx context.Context, e *Env, r AddressRequest) (AddressResult, error) {
	found, err := findRunning(e, r.Name)
	if err != nil {
		return AddressResult{}, err
	}
	defer found.process.Close()
	vm, process := found.vm, found.process
	nics := bridged(vm)
	if len(nics) == 0 {
		return AddressResult{}, ErrNoBridgedNIC
	}
	if !r.All {
		nics = addressed(vm)
	}
	if r.Explain {
		noticeDuplicateMACs(e, vm, process.PID)
	}
	asked := askSources(ctx, e, vm, nics, process.Started, r.All || r.Explain)
	result := AddressResult{NICs: nics}
	for _, nic := range asked {
		result.Reports = append(result.Reports, nic.reports...)
	}
	best, ok := likeliest(vm, asked)
	result.Address, result.Addresses = best, lease.All(result.Reports)
	if !r.All && ok {
		result.Addresses = []lease.Address{best}
	}
	switch {
	case r.Explain:
		return result, nil
	case ok:
		noticeDoubt(e, r.Name, best)
	case !r.All || len(result.Addresses) == 0:
		return result, noAddress(ctx, e, vm, process.PID, asked[0], result.Reports)
	}
	return result, nil
}

// askedNIC is a NIC with what the sources have for it.
type askedNIC struct {
	vms.NIC
	query   lease.Query
	reports []lease.Report
}

// askSources queries every source of addresses for the NICs of a VM. It queries the guest itself if every is set, or
// if no other source has an address.
func askSources(ctx context.Context, e *Env, vm vms.VM, nics []vms.NIC, since time.Time, every bool) []askedNIC {
	asked := make([]askedNIC, len(nics))
	for i, nic := range nics {
		asked[i] = askedNIC{NIC: nic, query: leaseQuery(e, vm, nic, since)}
	}
	for i, nic := range asked {
		asked[i].reports = lease.Ask(ctx, nic.query)
		if best, ok := likeliest(vm, asked); ok && !doubtful(best) && !every {
			return asked
		}
	}
	agent := askAgent(ctx, vm)
	for i, nic := range asked {
		asked[i].reports = append(nic.reports, agent.report(nic.query))
	}
	return asked
}

// likeliest returns the address of the guest: that of its first NIC that has one. An address of this start is
// preferred to any other.
func likeliest(vm vms.VM, nics []askedNIC) (lease.Address, bool) {
	var old lease.Address
	found := false
	for _, nic := range nics {
		best, ok := lease.Best(nic.reports)
		switch {
		case !ok || !hasAddress(vm, nic.NIC):
		case !doubtful(best):
			return best, true
		case !found:
			old, found = best, true
		}
	}
	return old, found
}

// noAddress returns why there is no address: what the sources have and why it is refused, or why the guest is silent.
func noAddress(ctx context.Context, e *Env, vm vms.VM, pid int, first askedNIC, reports []lease.Report) error {
	for _, r := range reports {
		for _, a := range r.Addresses {
			if a.IsLease() && a.Refused != "" {
				return fmt.Errorf("%w: %s: %s", ErrNoAddress, a.IP, a.Refused)
			}
		}
	}
	stage := lease.Reached(first.query, first.reports)
	return &NoAddressError{stage, whySilent(ctx, e, vm, pid, first.query, stage, first.reports)}
}

// NoAddressError says that a running guest has no address, and why, if known.
type NoAddressError struct {
	Stage lease.Stage // how far the guest has come
	Cause error       // may be nil
}

func (e *NoAddressError) Error() string {
	text := fmt.Sprintf("%v: %s", ErrNoAddress, e.Stage)
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// doubtful reports whether an address may belong to another machine by now, with nothing that confirms that it is the
// guest's.
func doubtful(address lease.Address) bool { return stale(address) || address.Holder != "" }

// stale reports whether an address is known only from before the start.
func stale(address lease.Address) bool { return address.Freshness == lease.Older && !address.Live }

// noticeDoubt says why an address that is returned is in doubt.
func noticeDoubt(e *Env, name string, a lease.Address) {
	switch {
	case a.Holder != "":
		e.notice("%s: %s was last seen at %s, which is not its NIC's MAC", name, a.IP, a.Holder)
	case stale(a):
		e.notice("%s: %s is %s", name, a.IP, unconfirmed(a))
	}
}

// Since says whether an address is of the VM's present start, as the end of a sentence about the address.
func Since(a lease.Address) string {
	switch {
	case a.Freshness == lease.ThisStart:
		return "of this start"
	case a.Live:
		return "in use since this start"
	case a.Freshness == lease.Older:
		return unconfirmed(a)
	}
	return "which may be from before this start"
}

// unconfirmed says what is not known about an address from before the start, as the end of a sentence about it.
func unconfirmed(a lease.Address) string {
	if !a.IsLease() {
		return a.Doubt()
	}
	return "an address " + a.Doubt() + ", and not confirmed"
}

// noticeDuplicateMACs names the NICs of a running VM that share their MAC with another VM, whose address may be the
// one that was found. It takes less than a millisecond.
func noticeDuplicateMACs(e *Env, vm vms.VM, pid int) {
	for _, nic := range bridged(vm) {
		if err := netsetup.DuplicateMAC(nic.Bridge, nic.MAC.HardwareAddr(), pid); err != nil {
			e.notice("%s: %v", vm.Name, err)
		}
	}
}

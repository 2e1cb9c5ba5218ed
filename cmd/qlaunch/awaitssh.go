package main

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/netsetup/leases"
	"github.com/qlaunch/qlaunch/vms"
)

// awaitSSH waits until the guest's sshd answers, at an address of the guest or at the host's end of a forward, and gives
// that address. The address found first need not be the one that sshd answers at: a guest may ask for one in its
// initramfs and for another once it has booted. So every address that the sources come to hold is tried beside it.
func (g *guest) awaitSSH(ctx context.Context, first netip.Addr) (netip.Addr, error) {
	if !first.IsValid() {
		at, err := sshEndpoint(g.vm, first)
		if err != nil {
			return first, err
		}
		return first, netsetup.WaitSSH(ctx, at)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	t := &sshTrial{vm: g.vm, stop: stop, tried: map[netip.Addr]bool{}}
	t.try(ctx, first)
	for _, w := range g.waiters {
		t.all.Go(func() { // a watch that breaks leaves the addresses that it has told
			_ = w.Follow(ctx, func(believed []leases.Address) { t.tryAll(ctx, believed) })
		})
	}
	t.all.Wait()
	if !t.answered.IsValid() {
		return first, t.err
	}
	return t.answered, g.notTaken(t.answered)
}

// notTaken refuses an address at which another machine answers: the packets that brought the answer went to the MAC that
// the kernel has for it.
func (g *guest) notTaken(address netip.Addr) error {
	for _, q := range g.queries {
		if holder := leases.Holder(q, address); holder != "" {
			return &takenError{name: g.vm.Name, query: q, address: address, holder: holder}
		}
	}
	return nil
}

// takenError says that another machine on the bridge answers at a guest's address.
type takenError struct {
	name    string
	query   leases.Query
	address netip.Addr
	holder  string
}

func (e *takenError) Error() string {
	return fmt.Sprintf("%s on %s is at %s, and its NIC's MAC is %s: another machine answers there", e.address, e.query.Bridge, e.holder, e.query.MAC)
}

func (e *takenError) hint() string { return "qlaunch ip " + e.name + " --explain" }

// An sshTrial waits for an sshd at several addresses.
type sshTrial struct {
	vm   vms.VM
	stop context.CancelFunc // ends the trial
	all  sync.WaitGroup

	mu       sync.Mutex
	tried    map[netip.Addr]bool
	answered netip.Addr
	err      error // of the first address, or of what ended the wait
}

// tryAll tries the addresses of the better family: IPv6 alone where there is no IPv4.
func (t *sshTrial) tryAll(ctx context.Context, believed []leases.Address) {
	for _, a := range believed {
		if a.IP.BitLen() == believed[0].IP.BitLen() {
			t.try(ctx, a.IP)
		}
	}
}

// try begins to wait at an address, once.
func (t *sshTrial) try(ctx context.Context, address netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tried[address] {
		return
	}
	first := len(t.tried) == 0
	t.tried[address] = true
	t.all.Go(func() {
		err := netsetup.WaitSSH(ctx, netip.AddrPortFrom(address, t.vm.SSH.Port))
		t.mu.Lock()
		defer t.mu.Unlock()
		switch {
		case err == nil && !t.answered.IsValid():
			t.answered = address
			t.stop()
		case first:
			t.err = err
		}
	})
}

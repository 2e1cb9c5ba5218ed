package launcher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/netsetup/lease"
	"github.com/qlaunch/qlaunch/vms"
)

// awaitSSH waits until the guest's sshd responds, at an address of the guest or at the host's end of a forward, and
// returns that address. sshd may listen at another address than the first: a guest may request one in its initramfs
// and another after it has booted. So awaitSSH also tries every address that the sources report in the meantime. The
// connection is stored in the guest for the caller to use.
func (g *guest) awaitSSH(ctx context.Context, first netip.Addr) (netip.Addr, error) {
	if !first.IsValid() {
		at, err := sshEndpoint(g.vm, first)
		if err == nil {
			g.conn, err = netsetup.GreetSSH(ctx, at)
		}
		return first, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	t := newSSHTrial(g.vm, stop)
	t.try(ctx, 0, first)
	for nic, w := range g.waiters {
		t.all.Go(func() { // if the watch fails, the addresses that it reported are still tried
			_ = w.Follow(ctx, func(believed []lease.Address) { t.tryAll(ctx, nic, believed) })
		})
	}
	t.all.Wait()
	answered, conn := t.best()
	if conn == nil {
		return first, t.err
	}
	g.conn = conn
	return answered, g.notTaken(answered)
}

// notTaken returns an error if another machine responds at the address: the kernel sends packets for it to another
// MAC.
func (g *guest) notTaken(address netip.Addr) error {
	for _, q := range g.queries {
		if holder := lease.Holder(q, address); holder != "" {
			return &AddressTakenError{Name: g.vm.Name, Address: address, Bridge: q.Bridge, MAC: q.MAC, Holder: holder}
		}
	}
	return nil
}

// ErrNoSSHPath says that the host cannot reach the guest's sshd.
var ErrNoSSHPath = errors.New("no bridged NIC, and no forward to its ssh port")

// sshEndpoint returns the address and the port of the guest's sshd.
func sshEndpoint(vm vms.VM, address netip.Addr) (netip.AddrPort, error) {
	if address.IsValid() {
		return netip.AddrPortFrom(address, vm.SSH.Port), nil
	}
	for _, nic := range vm.NICs {
		if byForward(vm) && !vm.SSH.NIC.Takes(nic) {
			continue
		}
		for _, forward := range nic.Forwards {
			if forward.Guest == vm.SSH.Port {
				return forward.Host, nil
			}
		}
	}
	return netip.AddrPort{}, ErrNoSSHPath
}

// AddressTakenError says that another machine on the bridge responds at the guest's address.
type AddressTakenError struct {
	Name    string // the VM's
	Address netip.Addr
	Bridge  string
	MAC     net.HardwareAddr // the NIC's
	Holder  string           // the MAC that the kernel has for the address
}

func (e *AddressTakenError) Error() string {
	return fmt.Sprintf("%s on %s is at %s, and its NIC's MAC is %s: another machine answers there",
		e.Address, e.Bridge, e.Holder, e.MAC)
}

// sshTrial waits for an sshd at several addresses.
type sshTrial struct {
	vm   vms.VM
	stop context.CancelFunc // ends the trial
	all  sync.WaitGroup

	mu    sync.Mutex
	tried map[netip.Addr]*sshAttempt
	first *sshAttempt // the attempt whose error is the trial's
	err   error
}

// sshAttempt is the wait at one address, of the guest's n-th NIC that may have one.
type sshAttempt struct {
	nic  int
	conn *net.TCPConn // nil: no response
}

func newSSHTrial(vm vms.VM, stop context.CancelFunc) *sshTrial {
	return &sshTrial{vm: vm, stop: stop, tried: map[netip.Addr]*sshAttempt{}}
}

// tryAll tries the addresses of the preferred family: IPv6 only if there is no IPv4.
func (t *sshTrial) tryAll(ctx context.Context, nic int, believed []lease.Address) {
	for _, a := range believed {
		if a.IP.BitLen() == believed[0].IP.BitLen() {
			t.try(ctx, nic, a.IP)
		}
	}
}

// try starts to wait at an address, once.
func (t *sshTrial) try(ctx context.Context, nic int, address netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a, ok := t.tried[address]; ok {
		a.nic = nic
		return
	}
	a := &sshAttempt{nic: nic}
	t.tried[address] = a
	if t.first == nil {
		t.first = a
	}
	t.all.Go(func() {
		conn, err := netsetup.GreetSSH(ctx, netip.AddrPortFrom(address, t.vm.SSH.Port))
		t.mu.Lock()
		defer t.mu.Unlock()
		switch {
		case err == nil:
			a.conn = conn
			t.end()
		case a == t.first:
			t.err = err
		}
	})
}

// sshSettles is how long the address of an earlier NIC may take to respond after that of a later one: if sshd listens
// at all of them, each is tried at least every half second.
const sshSettles = time.Second

// end ends the trial after a response: at once, or later if an address of an earlier NIC is still being tried, since
// that NIC is preferred.
func (t *sshTrial) end() {
	if best := t.earliest(); best.conn != nil {
		t.stop()
		return
	}
	time.AfterFunc(sshSettles, t.stop)
}

// earliest returns the attempt at an address of the earliest NIC, preferably one with a response.
func (t *sshTrial) earliest() *sshAttempt {
	var best *sshAttempt
	for _, a := range t.tried {
		if best == nil || a.nic < best.nic || a.nic == best.nic && a.conn != nil {
			best = a
		}
	}
	return best
}

// best returns the address of the earliest NIC that responded, with its connection, which the caller has to close;
// nil if there was no response.
func (t *sshTrial) best() (netip.Addr, *net.TCPConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var at netip.Addr
	for address, a := range t.tried {
		if a.conn != nil && (!at.IsValid() || a.nic < t.tried[at].nic) {
			at = address
		}
	}
	for address, a := range t.tried {
		if a.conn != nil && address != at {
			_ = a.conn.Close()
		}
	}
	if !at.IsValid() {
		return at, nil
	}
	return at, t.tried[at].conn
}

package lease

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// subscription receives changes of the kernel's neighbour tables and of the forwarding tables of its bridges.
type subscription struct {
	updates chan netlink.NeighUpdate // closed when the subscription has ended
	done    chan struct{}

	mu  sync.Mutex
	err error // why it ended
}

func subscribe() (*subscription, error) {
	s := &subscription{updates: make(chan netlink.NeighUpdate, 16), done: make(chan struct{})}
	err := netlink.NeighSubscribeWithOptions(s.updates, s.done, netlink.NeighSubscribeOptions{ErrorCallback: s.failed})
	if err != nil {
		close(s.done)
		return nil, fmt.Errorf("subscribe to neighbours: %w", err)
	}
	return s, nil
}

func (s *subscription) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// overrun reports whether a subscription ended because events came faster than they were read; otherwise it returns
// the error that ended it.
func (s *subscription) overrun() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.err, unix.ENOBUFS) {
		return true, nil
	}
	return false, fmt.Errorf("the neighbour subscription has ended: %w", s.err)
}

// concerns reports whether an update is about mac, which both neighbour entries and forwarding entries have, or about
// one of the addresses.
func concerns(u netlink.NeighUpdate, mac net.HardwareAddr, ips []netip.Addr) bool {
	if sameMAC(u.HardwareAddr, mac) {
		return true
	}
	ip, ok := netip.AddrFromSlice(u.IP)
	return ok && u.Family != unix.AF_BRIDGE && u.State&known != 0 && slices.Contains(ips, ip.Unmap())
}

// close ends the subscription and its goroutine, which may be blocked on passing on an update.
func (s *subscription) close() {
	close(s.done)
	for range s.updates {
		continue
	}
}

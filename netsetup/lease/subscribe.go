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

// A subscription hears of changes in the kernel's neighbour tables and in the forwarding tables of its bridges.
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

// overrun says, of a subscription that has ended, whether it was because events came faster than they were read; and
// gives the error when it was anything else.
func (s *subscription) overrun() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.err, unix.ENOBUFS) {
		return true, nil
	}
	return false, fmt.Errorf("the neighbour subscription has ended: %w", s.err)
}

// concerns says whether an update is about mac, which neighbour entries and forwarding entries both carry, or about
// whose one of the addresses is.
func concerns(u netlink.NeighUpdate, mac net.HardwareAddr, ips []netip.Addr) bool {
	if same(u.HardwareAddr, mac) {
		return true
	}
	ip, ok := netip.AddrFromSlice(u.IP)
	return ok && u.Family != unix.AF_BRIDGE && u.State&known != 0 && slices.Contains(ips, ip.Unmap())
}

// close ends the subscription and its goroutine, which may be waiting to hand over an update.
func (s *subscription) close() {
	close(s.done)
	for range s.updates {
		continue
	}
}

package lease

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A link is the bridge as the kernel has it.
type link struct {
	index int
	name  string
	own   []netip.Prefix // its addresses, each with its subnet

	ask func(netip.Addr) way // the kernel's routing tables; nil: they are not asked
}

// ErrNoBridge says that the kernel has no interface of the bridge's name.
var ErrNoBridge = errors.New("no such interface")

// findLink asks the kernel for the interface of that name.
func findLink(name string) (link, error) {
	l, err := netlink.LinkByName(name)
	if _, ok := errors.AsType[netlink.LinkNotFoundError](err); ok {
		return link{}, ErrNoBridge
	}
	if err != nil {
		return link{}, err
	}
	addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return link{}, fmt.Errorf("list its addresses: %w", err)
	}
	found := link{index: l.Attrs().Index, name: name}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			ones, _ := a.Mask.Size()
			found.own = append(found.own, netip.PrefixFrom(ip.Unmap(), ones))
		}
	}
	found.ask = func(ip netip.Addr) way { return askWay(ip, found.index) }
	return found, nil
}

// A neighbour is an entry of the kernel's ARP or NDP table that has the guest's MAC.
type neighbour struct {
	ip    netip.Addr
	state int

	// When the kernel was last sure of the entry: an answer came, or a packet that showed that the guest was listening.
	confirmed time.Time

	// When it was made, from a request of the guest's own; zero when that cannot be told any more. See madeAt.
	made time.Time
}

// seen is when the guest was last known to use the address.
func (n neighbour) seen() time.Time {
	if n.made.After(n.confirmed) {
		return n.made
	}
	return n.confirmed
}

// A sighting is the bridge's record that the guest's MAC sends frames.
type sighting struct {
	port string    // the bridge's port that they come in on; empty: none were seen
	last time.Time // when the last one came
}

// known are the states of an entry in which the kernel has a hardware address.
const known = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE |
	netlink.NUD_PERMANENT | netlink.NUD_NOARP

// looking are the states of an entry that the kernel is looking for an address for, or has found none.
const looking = netlink.NUD_INCOMPLETE | netlink.NUD_FAILED

// listNeighbours are the link's entries, those too in which the kernel knows no hardware address.
func listNeighbours(l link) ([]netlink.Neigh, error) {
	all, err := dumpNeighbours(l.index, unix.AF_UNSPEC)
	return slices.DeleteFunc(all, func(n netlink.Neigh) bool {
		_, ok := netip.AddrFromSlice(n.IP)
		return !ok || n.Family == unix.AF_BRIDGE || n.State&(known|looking) == 0
	}), err
}

// countKnown counts the entries with a hardware address.
func countKnown(all []netlink.Neigh) int {
	n := 0
	for _, e := range all {
		if e.State&known != 0 {
			n++
		}
	}
	return n
}

// neighboursOf are those of the entries that have a MAC.
func neighboursOf(all []netlink.Neigh, head headStart, mac net.HardwareAddr, now time.Time) []neighbour {
	var ours []neighbour
	for _, n := range all {
		if ip, ok := netip.AddrFromSlice(n.IP); ok && n.State&known != 0 && same(n.HardwareAddr, mac) {
			ours = append(ours, neighbour{
				ip: ip.Unmap(), state: n.State, confirmed: ago(now, n.Confirmed), made: madeAt(n, head[n.Family], now),
			})
		}
	}
	return ours
}

// A headStart is how much older than the entry itself the confirmation is that an entry of a family begins with: the
// kernel puts it twice base_reachable_time into the past (net/core/neighbour.c, ___neigh_create). A family of which that
// cannot be read is missing.
type headStart map[int]time.Duration

// readHeadStart asks the kernel: an administrator can set that time, and for IPv6 a router too.
func readHeadStart(l link) headStart {
	head := headStart{}
	for family, version := range map[int]string{unix.AF_INET: "ipv4", unix.AF_INET6: "ipv6"} {
		text, err := os.ReadFile("/proc/sys/net/" + version + "/neigh/" + l.name + "/base_reachable_time_ms")
		if err != nil {
			continue
		}
		if ms, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 31); err == nil {
			head[family] = 2 * time.Duration(ms) * time.Millisecond
		}
	}
	return head
}

// madeAt is when an entry was made, if it is still as it was made: its confirmation has the head start, and it has come
// into no other state since. Otherwise its last change of state tells nothing of the guest: an entry that ages goes
// from REACHABLE to STALE by the clock, and on to DELAY and PROBE by whatever the host sends.
func madeAt(n netlink.Neigh, head time.Duration, now time.Time) time.Time {
	before := time.Duration(int64(n.Confirmed)-int64(n.Updated)) * tick
	if head == 0 || (before-head).Abs() > 2*tick { // each of the two is rounded to a tick by itself
		return time.Time{}
	}
	return ago(now, n.Updated)
}

// listFrames is the bridge's forwarding table. Entries that somebody configured prove no frames.
func listFrames(l link) ([]netlink.Neigh, error) {
	all, err := dumpNeighbours(0, unix.AF_BRIDGE) // its index is that of the port, so the table is filtered here
	return slices.DeleteFunc(all, func(n netlink.Neigh) bool {
		return n.MasterIndex != l.index || n.State&(netlink.NUD_PERMANENT|netlink.NUD_NOARP) != 0
	}), err
}

// seeFrames looks mac up in a forwarding table.
func seeFrames(all []netlink.Neigh, mac net.HardwareAddr, now time.Time) sighting {
	var s sighting
	port := 0
	for _, n := range all {
		if last := ago(now, n.Updated); same(n.HardwareAddr, mac) && last.After(s.last) {
			s.last, port = last, n.LinkIndex
		}
	}
	if port != 0 {
		s.port = portName(port)
	}
	return s
}

func portName(index int) string {
	if l, err := netlink.LinkByIndex(index); err == nil {
		return l.Attrs().Name
	}
	return fmt.Sprintf("port %d", index) // it went away in between
}

// dumpNeighbours lists a table. The kernel says when the table changed under a dump, and the dump is then taken again;
// after some times the incomplete one has to do: what it does hold is true.
func dumpNeighbours(index, family int) ([]netlink.Neigh, error) {
	const tries = 3
	for try := 1; ; try++ {
		all, err := netlink.NeighList(index, family)
		if errors.Is(err, netlink.ErrDumpInterrupted) {
			if try < tries {
				continue
			}
			err = nil
		}
		return all, err
	}
}

// tick is what the kernel counts the ages of entries in: USER_HZ, 100 a second on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// ago turns the kernel's "so many ticks ago" into a time. It errs towards the past, by no more than two ticks: a
// confirmation is never taken for later than it was.
func ago(now time.Time, ticks uint32) time.Time {
	return now.Add(-time.Duration(ticks+2) * tick)
}

// stateName is the kernel's word for the state of a neighbour entry, as ip-neighbour(8) has it.
func stateName(state int) string {
	switch {
	case state&netlink.NUD_PERMANENT != 0:
		return "PERMANENT"
	case state&netlink.NUD_NOARP != 0:
		return "NOARP"
	case state&netlink.NUD_REACHABLE != 0:
		return "REACHABLE"
	case state&netlink.NUD_DELAY != 0:
		return "DELAY"
	case state&netlink.NUD_PROBE != 0:
		return "PROBE"
	case state&netlink.NUD_STALE != 0:
		return "STALE"
	case state&netlink.NUD_INCOMPLETE != 0:
		return "INCOMPLETE"
	case state&netlink.NUD_FAILED != 0:
		return "FAILED"
	}
	return "NONE"
}

// A way is how the kernel would send a packet to an address: what its routing tables say, rules and metrics included.
type way struct {
	known   bool
	onLink  bool         // by way of the bridge, to the address itself: no gateway is between
	local   bool         // it is the host's own
	group   bool         // the broadcast address of a subnet
	link    string       // the other link that the packet leaves by; empty for the bridge
	foreign string       // link, where the address is in a subnet of its; empty for a default route
	to      netip.Prefix // the destination of the route
}

// askWay asks the kernel's routing tables. An address without a route is not known.
func askWay(ip netip.Addr, bridge int) way {
	routes, err := netlink.RouteGetWithOptions(ip.AsSlice(), &netlink.RouteGetOptions{FIBMatch: true})
	if err != nil || len(routes) != 1 {
		return way{}
	}
	r := routes[0]
	w := way{known: true, local: r.Type == unix.RTN_LOCAL, group: r.Type == unix.RTN_BROADCAST, to: netip.PrefixFrom(ip, 0).Masked()}
	if r.Dst != nil {
		if to, err := netip.ParsePrefix(r.Dst.String()); err == nil {
			w.to = to
		}
	}
	direct := len(r.Gw) == 0 && r.Via == nil && len(r.MultiPath) == 0
	w.onLink = direct && r.LinkIndex == bridge && r.Type == unix.RTN_UNICAST
	const halves = 1 // a default route can be two, 0.0.0.0/1 and 128.0.0.0/1
	if r.LinkIndex != bridge {
		w.link = portName(r.LinkIndex)
	}
	if w.to.Bits() > halves {
		w.foreign = w.link
	}
	return w
}

// waysOf asks for each address once.
func (l link) waysOf(ips []netip.Addr) map[netip.Addr]way {
	ways := map[netip.Addr]way{}
	if l.ask == nil {
		return ways
	}
	for _, ip := range ips {
		if _, asked := ways[ip]; !asked && !ip.IsLinkLocalUnicast() {
			ways[ip] = l.ask(ip)
		}
	}
	return ways
}

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

// link is the bridge, as the kernel reports it.
type link struct {
	index int
	name  string
	own   []netip.Prefix // its addresses with their subnets

	ask func(netip.Addr) way // looks up a route in the kernel; nil: no lookups
}

// ErrNoBridge means that no interface has the bridge's name.
var ErrNoBridge = errors.New("no such interface")

// findLink returns the interface with this name.
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

// neighbour is an entry of the kernel's ARP or NDP table with the guest's MAC.
type neighbour struct {
	ip    netip.Addr
	state int

	// When the kernel last confirmed the entry, by a reply or by a packet that showed that the guest received.
	confirmed time.Time

	// When the kernel made the entry because of a request from the guest; zero if that is not known any more. See
	// madeAt.
	made time.Time
}

// seen returns when the guest was last known to use the address.
func (n neighbour) seen() time.Time {
	if n.made.After(n.confirmed) {
		return n.made
	}
	return n.confirmed
}

// sighting says that the bridge has seen frames from the guest's MAC.
type sighting struct {
	port string    // the port of the bridge on which they arrive; empty: none were seen
	last time.Time // when the last one arrived
}

// known are the states of an entry with a hardware address.
const known = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE |
	netlink.NUD_PERMANENT | netlink.NUD_NOARP

// looking are the states of an entry without a hardware address: the kernel is still looking for it, or has given up.
const looking = netlink.NUD_INCOMPLETE | netlink.NUD_FAILED

// listNeighbours returns the link's entries, with those that have no hardware address.
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

// neighboursOf returns the entries with this MAC.
func neighboursOf(all []netlink.Neigh, head headStart, mac net.HardwareAddr, now time.Time) []neighbour {
	var ours []neighbour
	for _, n := range all {
		if ip, ok := netip.AddrFromSlice(n.IP); ok && n.State&known != 0 && sameMAC(n.HardwareAddr, mac) {
			ours = append(ours, neighbour{
				ip: ip.Unmap(), state: n.State, confirmed: ago(now, n.Confirmed), made: madeAt(n, head[n.Family], now),
			})
		}
	}
	return ours
}

// headStart is the age of the confirmation in a new entry, by address family: the kernel sets it to twice
// base_reachable_time in the past (net/core/neighbour.c, ___neigh_create). A family is missing if that time cannot be
// read.
type headStart map[int]time.Duration

// readHeadStart reads the times from the kernel: an administrator can set them, and for IPv6 a router too.
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

// madeAt returns when an entry was made, if it has not changed since: its confirmation has the head start, and its
// state has not changed. Later changes of the state say nothing about the guest: an entry goes from REACHABLE to
// STALE with time, and on to DELAY and PROBE when the host sends something.
func madeAt(n netlink.Neigh, head time.Duration, now time.Time) time.Time {
	before := time.Duration(int64(n.Confirmed)-int64(n.Updated)) * tick
	if head == 0 || (before-head).Abs() > 2*tick { // each of the two is rounded to a tick
		return time.Time{}
	}
	return ago(now, n.Updated)
}

// listFrames returns the bridge's forwarding table. Static entries do not prove that there were frames.
func listFrames(l link) ([]netlink.Neigh, error) {
	all, err := dumpNeighbours(0, unix.AF_BRIDGE) // the entries have the index of the port, so the kernel cannot filter by bridge
	return slices.DeleteFunc(all, func(n netlink.Neigh) bool {
		return n.MasterIndex != l.index || n.State&(netlink.NUD_PERMANENT|netlink.NUD_NOARP) != 0
	}), err
}

// seeFrames looks up mac in a forwarding table.
func seeFrames(all []netlink.Neigh, mac net.HardwareAddr, now time.Time) sighting {
	var s sighting
	port := 0
	for _, n := range all {
		if last := ago(now, n.Updated); sameMAC(n.HardwareAddr, mac) && last.After(s.last) {
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
	return fmt.Sprintf("port %d", index) // the port was removed in between
}

// dumpNeighbours lists a table. The kernel reports if the table changed during the dump, and the dump is then
// repeated. After several attempts an incomplete dump is used, since its entries are correct.
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

// tick is the unit of the ages of entries: 1/USER_HZ, 100 per second on every architecture that Go supports.
const tick = 10 * time.Millisecond

// ago converts an age in ticks to a time. The result is up to two ticks too early, so that a confirmation never
// appears later than it was.
func ago(now time.Time, ticks uint32) time.Time {
	return now.Add(-time.Duration(ticks+2) * tick)
}

// stateName returns the name of a neighbour entry's state, as in ip-neighbour(8).
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

// way is how the kernel would route a packet to an address, by its routing tables with rules and metrics.
type way struct {
	known   bool
	onLink  bool         // through the bridge, without a gateway
	local   bool         // an address of the host itself
	group   bool         // the broadcast address of a subnet
	link    string       // the other link by which the packet leaves; empty for the bridge
	foreign string       // that link, if the address is in a subnet of it; empty for a default route
	to      netip.Prefix // the destination of the route
}

// askWay looks up an address in the kernel's routing tables. The zero value means that there is no route.
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
	const halves = 1 // a default route can be split into 0.0.0.0/1 and 128.0.0.0/1
	if r.LinkIndex != bridge {
		w.link = portName(r.LinkIndex)
	}
	if w.to.Bits() > halves {
		w.foreign = w.link
	}
	return w
}

// waysOf looks up each address once.
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

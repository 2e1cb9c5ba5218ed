package lease

import (
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// A holding is the kernel's neighbour entry for an address on the bridge, whoever has it.
type holding struct {
	mac   net.HardwareAddr // empty: nobody answers
	state int
}

// sure says whether the kernel knows, rather than remembers, whose the address is.
func (h holding) sure() bool {
	return h.state&(netlink.NUD_REACHABLE|netlink.NUD_PERMANENT|netlink.NUD_NOARP) != 0
}

// other is the MAC that the entry has, where that is no NIC of the guest's on the bridge. A guest with two NICs there
// answers for either address on both (arp_ignore of the kernel's ip-sysctl is 0 by default).
func (h holding) other(q Query) string {
	if len(h.mac) == 0 || same(h.mac, q.MAC) || slices.ContainsFunc(q.Kin, func(mac net.HardwareAddr) bool { return same(h.mac, mac) }) {
		return ""
	}
	return h.mac.String()
}

// holdingsOf looks addresses up in the kernel's table.
func holdingsOf(all []netlink.Neigh, ips []netip.Addr) map[netip.Addr]holding {
	holdings := map[netip.Addr]holding{}
	for _, n := range all {
		if ip, ok := netip.AddrFromSlice(n.IP); ok && slices.Contains(ips, ip.Unmap()) {
			holdings[ip.Unmap()] = holding{n.HardwareAddr, n.State}
		}
	}
	return holdings
}

// Holder is the MAC that the kernel's neighbour table has for an address on the query's bridge, where it is none of the
// guest's: what is sent to the address goes there. Empty: there is no such entry, or the table cannot be read.
func Holder(q Query, ip netip.Addr) string {
	l, err := findLink(q.Bridge)
	if err != nil {
		return ""
	}
	all, err := listNeighbours(l)
	if err != nil {
		return ""
	}
	ip = ip.WithZone("")
	return holdingsOf(all, []netip.Addr{ip})[ip].other(q)
}

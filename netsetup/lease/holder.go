package lease

import (
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// holding is the kernel's neighbour entry for an address on the bridge, whichever host has it.
type holding struct {
	mac   net.HardwareAddr // empty: no host replies
	state int
}

// sure reports whether the kernel has confirmed the entry, and does not only remember it.
func (h holding) sure() bool {
	return h.state&(netlink.NUD_REACHABLE|netlink.NUD_PERMANENT|netlink.NUD_NOARP) != 0
}

// other returns the MAC of the entry if it is not a MAC of the guest on the bridge. A guest with two NICs there
// replies for either address on both (arp_ignore in the kernel's ip-sysctl is 0 by default).
func (h holding) other(q Query) string {
	if len(h.mac) == 0 || sameMAC(h.mac, q.MAC) || slices.ContainsFunc(q.OtherMACs, func(mac net.HardwareAddr) bool { return sameMAC(h.mac, mac) }) {
		return ""
	}
	return h.mac.String()
}

// holdingsOf looks up addresses in the kernel's table.
func holdingsOf(all []netlink.Neigh, ips []netip.Addr) map[netip.Addr]holding {
	holdings := map[netip.Addr]holding{}
	for _, n := range all {
		if ip, ok := netip.AddrFromSlice(n.IP); ok && slices.Contains(ips, ip.Unmap()) {
			holdings[ip.Unmap()] = holding{n.HardwareAddr, n.State}
		}
	}
	return holdings
}

// Holder returns the MAC that the kernel's neighbour table has for an address on the query's bridge, if it is not a
// MAC of the guest: packets to the address go there. It is empty if there is no such entry, or if the table cannot be
// read.
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

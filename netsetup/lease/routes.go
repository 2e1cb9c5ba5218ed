package lease

import (
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

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

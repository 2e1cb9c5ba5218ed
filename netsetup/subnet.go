package netsetup

import (
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// subnets are what the host reaches by way of the bridge without a router between: the subnets of its addresses, and the
// routes onto it. The address can be a single one, or have a peer, and the guests' subnet be a route alone. Routes that
// cannot be listed are none.
func (b Bridge) subnets() []netip.Prefix {
	subnets := slices.Clone(b.Addrs)
	onto := &netlink.Route{LinkIndex: b.Index}
	routes, _ := again(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(unix.AF_UNSPEC, onto, netlink.RT_FILTER_OIF)
	})
	for _, route := range routes {
		to := destination(route)
		known := slices.ContainsFunc(subnets, func(p netip.Prefix) bool { return p.Masked() == to })
		if to.IsValid() && to.Bits() > 0 && len(route.Gw) == 0 && route.Type == unix.RTN_UNICAST && !known {
			subnets = append(subnets, to)
		}
	}
	return subnets
}

package netsetup

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Route is a destination that the host knows a way to, its own addresses' subnets among them.
type Route struct {
	To  netip.Prefix
	Dev string
}

// isDefault says whether a route is a way to everywhere. VPNs set two halves of it, 0.0.0.0/1 and 128.0.0.0/1, which
// win over the default route and leave it in its place: openvpn(8), --redirect-gateway def1.
func (r Route) isDefault() bool { return r.To.Bits() <= 1 }

// Routes are the host's IPv4 routes of every table but that of its own addresses: a VPN's may be in one of its own,
// which a rule prefers to the main one (wg-quick(8), ip-rule(8)).
func Routes() ([]Route, error) {
	all, err := again(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(unix.AF_INET, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	links, err := again(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	var routes []Route
	for _, r := range all {
		if r.Type != unix.RTN_UNICAST || r.Table == unix.RT_TABLE_LOCAL {
			continue
		}
		hops := []int{r.LinkIndex}
		for _, hop := range r.MultiPath { // then the route itself has no link
			hops = append(hops, hop.LinkIndex)
		}
		for _, link := range hops {
			if name, there := names[link]; there {
				routes = append(routes, Route{destination(r), name})
			}
		}
	}
	return routes, nil
}

// destination is where a route leads; a default route's may be left out, rtnetlink(7).
func destination(route netlink.Route) netip.Prefix {
	if route.Dst == nil {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	ip, _ := netip.AddrFromSlice(route.Dst.IP)
	ones, _ := route.Dst.Mask.Size()
	return netip.PrefixFrom(ip.Unmap(), ones)
}

// Overlapping returns the first route to addresses of a subnet by way of another link than the bridge. A default route
// overlaps with everything, and does not count.
func Overlapping(routes []Route, subnet netip.Prefix, bridge string) (Route, bool) {
	i := slices.IndexFunc(routes, func(r Route) bool { return r.Dev != bridge && !r.isDefault() && r.To.Overlaps(subnet) })
	if i < 0 {
		return Route{}, false
	}
	return routes[i], true
}

// subnets are what the host reaches by way of the bridge without a router between: the subnets of its addresses, and
// the routes onto it. The address can be a single one, or have a peer, and the guests' subnet be a route alone. Routes
// that cannot be listed are none.
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

package netsetup

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Route is a route of the host, including those to the subnets of its own addresses.
type Route struct {
	To  netip.Prefix
	Dev string
}

// isDefault reports whether a route is a default route or one of its halves. A VPN sets the halves 0.0.0.0/1 and
// 128.0.0.0/1, which win over the default route without replacing it: openvpn(8), --redirect-gateway def1.
func (r Route) isDefault() bool { return r.To.Bits() <= 1 }

// Routes returns the host's IPv4 routes from every table except that of its own addresses. The routes of a VPN may be
// in a separate table, which a rule prefers to the main one: wg-quick(8), ip-rule(8).
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

// destination returns the destination of a route, which a default route may lack: rtnetlink(7).
func destination(route netlink.Route) netip.Prefix {
	if route.Dst == nil {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	ip, _ := netip.AddrFromSlice(route.Dst.IP)
	ones, _ := route.Dst.Mask.Size()
	return netip.PrefixFrom(ip.Unmap(), ones)
}

// Overlapping returns the first route that overlaps with a subnet and uses another link than the bridge, and whether
// there is one. Default routes, which overlap with everything, do not count.
func Overlapping(routes []Route, subnet netip.Prefix, bridge string) (Route, bool) {
	i := slices.IndexFunc(routes, func(r Route) bool { return r.Dev != bridge && !r.isDefault() && r.To.Overlaps(subnet) })
	if i < 0 {
		return Route{}, false
	}
	return routes[i], true
}

// subnets returns what the host reaches through the bridge without a router: the subnets of the bridge's addresses and
// the routes to the bridge. The address may be a /32, or have a peer, so that only a route shows the guests' subnet.
// If the routes cannot be listed, only the addresses count.
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

package netsetup

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestASubnetThatIsARouteOntoTheBridgeIsItsSubnet(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	write(t, DefaultACL, "allow virbr0\n")
	br := addBridge(t, "virbr0", true)
	address(t, br, "10.77.0.1/32")
	lan := addLink(t, &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lan0"}, PeerName: "lan0-peer"}, true)
	address(t, lan, "10.88.0.2/24")
	route := func(link netlink.Link, to string, gateway net.IP) {
		_, dst, err := net.ParseCIDR(to)
		must(t, err)
		scope := netlink.SCOPE_LINK
		if gateway != nil {
			scope = netlink.SCOPE_UNIVERSE
		}
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst, Gw: gateway, Scope: scope}))
	}
	route(br, "10.77.1.0/24", nil)
	route(br, "10.99.0.0/16", net.IPv4(10, 77, 1, 9)) // behind a guest
	route(lan, "10.77.1.128/25", nil)

	b, err := FindBridge("virbr0")
	must(t, err)
	var four []string
	for _, p := range b.subnets() {
		if p.Addr().Is4() {
			four = append(four, p.String())
		}
	}
	if got := strings.Join(four, " "); got != "10.77.0.1/32 10.77.1.0/24" {
		t.Errorf("the subnets are %s", got)
	}
	ranges := dnsmasqOptions{ranges: []string{"10.77.1.2,10.77.1.254,1h"}}
	if !ranges.serves("virbr0", b.subnets()) || ranges.serves("virbr0", []netip.Prefix{netip.MustParsePrefix("10.77.0.1/32")}) {
		t.Error("who serves the subnet is not known by the route")
	}
	got := table(Examine(t.Context(), CheckQuery{Root: t.TempDir()}))
	want := `warn routes: bridge "virbr0": another route has addresses of its subnet: virbr0 has 10.77.1.0/24, and another link 10.77.1.128/25`
	if !strings.Contains(got, want+"\n") {
		t.Errorf("want %s in\n%s", want, got)
	}
}

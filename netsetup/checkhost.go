package netsetup

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
)

// checkRoutes looks for routes that share addresses with the bridge's subnet: those of a VPN, a LAN or of Docker. The
// narrower route wins, and either way somebody is not reached.
func checkRoutes(_ context.Context, _ CheckQuery, r *Report) Result {
	if r.Bridge.Name == "" {
		return skipped("no bridge")
	}
	routes, err := Routes()
	if err != nil {
		return warn(err)
	}
	for _, subnet := range r.Bridge.subnets() {
		if route, taken := Overlapping(routes, subnet, r.Bridge.Name); taken {
			return warn(r.wrong(ErrRouteCollides, fmt.Sprintf("%s has %s, and another link %s", r.Bridge.Name, subnet, route.To)))
		}
	}
	return ok("none collides")
}

// checkMTU compares the bridge with the links of the default routes. Where those take less, as a VPN's do, large
// packets of guests depend on ICMP to be told, which not every network lets through. The rules of our own bridge tell
// TCP.
func checkMTU(_ context.Context, _ CheckQuery, r *Report) Result {
	switch {
	case r.Bridge.Name == "":
		return skipped("no bridge")
	case len(r.Bridge.Uplinks) > 0:
		return skipped("guests are on the network behind " + strings.Join(r.Bridge.Uplinks, ", "))
	}
	links, err := defaultLinks(r.Bridge)
	if err != nil {
		return warn(err)
	}
	for _, link := range links {
		mtu := link.Attrs().MTU
		if mtu < r.Bridge.MTU && r.own {
			return ok(fmt.Sprintf("%s has %d, %s %d, and TCP is told", r.Bridge.Name, r.Bridge.MTU, link.Attrs().Name, mtu))
		}
		if mtu < r.Bridge.MTU {
			detail := fmt.Sprintf("%s has an MTU of %d, %s one of %d", r.Bridge.Name, r.Bridge.MTU, link.Attrs().Name, mtu)
			return warn(&MTUError{r.failure(ErrMTU, detail), r.target(), mtu})
		}
	}
	return ok(fmt.Sprintf("%s has %d", r.Bridge.Name, r.Bridge.MTU))
}

// defaultLinks are the links of the default routes, but for a bridge.
func defaultLinks(bridge Bridge) ([]netlink.Link, error) {
	routes, err := Routes()
	if err != nil {
		return nil, err
	}
	var links []netlink.Link
	seen := map[string]bool{bridge.Name: true}
	for _, route := range routes {
		if !route.isDefault() || seen[route.Dev] {
			continue
		}
		seen[route.Dev] = true
		if link, err := netlink.LinkByName(route.Dev); err == nil { // else it has just gone
			links = append(links, link)
		}
	}
	return links, nil
}

// checkNetworkManager asks for its state of the bridge: it leaves alone what it does not manage and what it has found
// configured, and may take down what it manages without a connection.
func checkNetworkManager(ctx context.Context, q CheckQuery, r *Report) Result {
	switch {
	case r.Bridge.Name == "":
		return skipped("no bridge")
	case !q.has("/run/NetworkManager"):
		return skipped("it does not run here")
	}
	state, err := q.run(ctx, "nmcli", "-g", "GENERAL.STATE", "device", "show", r.Bridge.Name)
	state = oneLine(state) // "100 (connected (externally))", "10 (unmanaged)"
	switch {
	case errors.Is(err, errNotInstalled):
		return skipped("nmcli is not installed")
	case err != nil:
		return skipped(err.Error())
	case strings.Contains(state, "unmanaged"), strings.Contains(state, "(connected"):
		return ok(state)
	}
	return warn(r.wrong(ErrManagerMeddles, state))
}

package netsetup

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
)

// checkRoutes looks for routes that overlap with the bridge's subnet, such as those of a VPN, a LAN or Docker. The
// route with the longer prefix wins, so either guests or hosts of the other network cannot be reached.
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

// checkMTU compares the MTU of the bridge with those of the links of the default routes. If theirs is smaller, as that
// of a VPN is, guests must learn it from ICMP, which some networks drop. The rules of our own bridge limit the segment
// size of TCP.
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

// defaultLinks returns the links of the default routes, without the given bridge.
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
		if link, err := netlink.LinkByName(route.Dev); err == nil { // else it was just removed
			links = append(links, link)
		}
	}
	return links, nil
}

// checkNetworkManager queries NetworkManager's state of the bridge. NetworkManager does not change a device that it
// does not manage or that it found configured, and may take down one that it manages without a connection.
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

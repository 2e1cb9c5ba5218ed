package netsetup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/qlaunch/qlaunch/netsetup/firewall"
)

// needsRoot is the evidence of a check that only root can make.
const needsRoot = "needs root: sudo qlaunch doctor"

// checkForwarding checks that the kernel forwards packets: guests on a network of the host's own reach other networks
// only then. The host can reach the guests in any case.
func checkForwarding(_ context.Context, q CheckQuery, r *Report) Result {
	const file = "/proc/sys/net/ipv4/ip_forward"
	value := strings.TrimSpace(string(readSome(q.at(file), 16)))
	switch {
	case r.Bridge.Name == "":
		return skipped("no bridge")
	case value == "1":
		return ok("net.ipv4.ip_forward = 1")
	case len(r.Bridge.Uplinks) > 0:
		return skipped("guests are on the network behind " + strings.Join(r.Bridge.Uplinks, ", "))
	case value == "":
		return skipped(file + ": not readable")
	}
	return warn(r.wrong(ErrForwardingOff, "net.ipv4.ip_forward = "+oneLine(value)))
}

// checkNetfilter reports whether frames between guests on one bridge also pass the FORWARD chains. Neither is a
// failure.
func checkNetfilter(_ context.Context, q CheckQuery, _ *Report) Result {
	const file = "/proc/sys/net/bridge/bridge-nf-call-iptables"
	switch value := strings.TrimSpace(string(readSome(q.at(file), 16))); value {
	case "":
		return ok("br_netfilter is not loaded")
	case "0":
		return ok("bridge-nf-call-iptables = 0")
	default:
		return ok("bridge-nf-call-iptables = " + oneLine(value) + ": guests reach one another through the FORWARD chain")
	}
}

// checkForwardPolicy checks all firewalls, since an accept in our table does not override a drop in another table.
func checkForwardPolicy(ctx context.Context, q CheckQuery, r *Report) Result {
	switch {
	case r.Bridge.Name == "":
		return skipped("no bridge")
	case os.Geteuid() != 0:
		return skipped(needsRoot)
	}
	from := slices.DeleteFunc(r.Bridge.subnets(), func(a netip.Prefix) bool { return !a.Addr().Is4() })
	p := firewall.Outgoing(r.Bridge.Name, from, waysOut(r.Bridge))
	return r.askFirewalls(ctx, q, p, ErrForwardDropped, ok("no policy drops what guests send"))
}

// checkInputPolicy checks the same for a guest's DHCP request, which does not reach the server if a firewall drops it.
func checkInputPolicy(ctx context.Context, q CheckQuery, r *Report) Result {
	switch {
	case r.Bridge.Name == "":
		return skipped("no bridge")
	case r.Server.Kind == "":
		return skipped("no DHCP server of this host's is known")
	case os.Geteuid() != 0:
		return skipped(needsRoot)
	}
	p := firewall.DHCPRequest(r.Bridge.Name)
	return r.askFirewalls(ctx, q, p, ErrInputDropped, ok("no policy drops what guests ask the DHCP server"))
}

// waysOut returns the names of the links of the default routes.
func waysOut(b Bridge) []string {
	links, _ := defaultLinks(b) // links that cannot be listed count as none
	names := make([]string, len(links))
	for i, l := range links {
		names[i] = l.Attrs().Name
	}
	return names
}

// askFirewalls returns passed if the firewalls let the packet pass, and an error with the cause if one drops it.
func (r *Report) askFirewalls(ctx context.Context, q CheckQuery, p firewall.Packet, cause error, passed Result) Result {
	unknown := func(err error) Result {
		return warn(&FirewallError{Failure: r.failure(ErrFirewallUnknown, err.Error()), Target: r.target()})
	}
	rules, err := q.run(ctx, "iptables", "--wait", "-S") // another process may be changing the rules: iptables(8)
	if err != nil && !errors.Is(err, errNotInstalled) {
		return unknown(err)
	}
	hasIPTables := err == nil
	drop := p.IPTables(rules)
	if drop == nil {
		list, err := q.run(ctx, "nft", "-j", "-t", "list", "ruleset")
		if errors.Is(err, errNotInstalled) {
			return passed
		}
		if err == nil {
			drop, err = p.Nft([]byte(list), hasIPTables)
		}
		if err != nil {
			return unknown(err)
		}
	}
	if drop == nil {
		return passed
	}
	e := &FirewallError{Failure: r.failure(cause, drop.Detail), Target: r.target()}
	if drop.Nft {
		e.Chain = drop.Chain
	}
	if drop.Unsure {
		e.Cause = ErrFirewallUnknown
		return warn(e)
	}
	return fail(e)
}

// checkNAT examines our tables as root. As another user, who may not read them, it checks that the unit that loads them
// is active.
func checkNAT(ctx context.Context, q CheckQuery, r *Report) Result {
	switch {
	case r.Bridge.Name == "":
		return skipped("no bridge")
	case !r.own:
		return skipped(r.Bridge.Name + " is not qlaunch's own")
	case os.Geteuid() == 0:
		return checkTables(ctx, q, r)
	case !q.has("/run/systemd/system"):
		return skipped(needsRoot)
	}
	state, err := q.run(ctx, "systemctl", "is-active", NetUnit)
	state = strings.TrimSpace(state)
	switch state {
	case "active":
		return ok(NetUnit + " is active; the rules themselves: " + needsRoot)
	case "":
		return warn(r.wrong(ErrNoNAT, fmt.Sprint(err)))
	}
	return fail(r.wrong(ErrNoNAT, NetUnit+" is "+oneLine(state)))
}

// checkTables looks for our own tables: first the one for packets that leave the host, then those that restrict what
// guests reach and what they send to each other.
func checkTables(ctx context.Context, q CheckQuery, r *Report) Result {
	for _, table := range []struct {
		family string
		cause  error
	}{{"ip", ErrNoNAT}, {"inet", ErrFewerRules}, {"bridge", ErrFewerRules}} {
		if _, err := q.run(ctx, "nft", "list", "table", table.family, "qlaunch"); err != nil {
			return fail(r.wrong(table.cause, fmt.Sprintf("table %s qlaunch: %v", table.family, err)))
		}
	}
	return ok("nft tables ip, inet and bridge qlaunch")
}

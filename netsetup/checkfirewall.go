package netsetup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// needsRoot is the evidence of what only root can see.
const needsRoot = "needs root: sudo qlaunch doctor"

// checkForwarding: guests on a network of the host's own get out through it only if the kernel forwards.
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
	return fail(r.wrong(ErrForwardingOff, "net.ipv4.ip_forward = "+oneLine(value)))
}

// checkNetfilter shows whether frames between guests of one bridge pass the FORWARD chains too. It is neither right nor wrong.
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

// checkForwardPolicy asks the firewalls: an accept in a table of ours never overrides a policy of drop in another's.
func checkForwardPolicy(ctx context.Context, q CheckQuery, r *Report) Result {
	switch {
	case r.Bridge.Name == "":
		return skipped("no bridge")
	case os.Geteuid() != 0:
		return skipped(needsRoot)
	}
	rules, err := q.run(ctx, "iptables", "-S")
	if err != nil && !errors.Is(err, errNotInstalled) {
		return warn(r.wrong(ErrForwardUnknown, err.Error()))
	}
	if verdict := forwardVerdict(rules, r.Bridge.Name); verdict == dropped {
		return fail(r.wrong(ErrForwardDropped, "iptables: FORWARD has the policy DROP, and no rule accepts what comes from "+r.Bridge.Name))
	}
	sawIptables := err == nil
	chains, err := q.run(ctx, "nft", "-j", "list", "chains")
	if err != nil && !errors.Is(err, errNotInstalled) {
		return warn(r.wrong(ErrForwardUnknown, err.Error()))
	}
	if chain := droppingChain([]byte(chains), sawIptables); chain != "" {
		e := r.wrong(ErrForwardUnknown, "nft chain "+chain+" has the policy drop")
		e.Chain = chain
		return warn(e)
	}
	return ok("no policy drops what guests send")
}

// The verdicts on what comes from a bridge.
const (
	passed  = "passed"
	dropped = "dropped"
)

// forwardVerdict reads what `iptables -S` prints: under a policy of DROP, a rule must accept what comes in from the
// bridge, in FORWARD or in a chain that it jumps to, such as ours, libvirt's or Docker's.
func forwardVerdict(rules, bridge string) string {
	chains, policy := []string{"FORWARD"}, passed
	var appended [][]string
	for line := range strings.Lines(rules) {
		switch words := strings.Fields(line); {
		case slices.Equal(words, []string{"-P", "FORWARD", "DROP"}):
			policy = dropped
		case len(words) > 2 && words[0] == "-A":
			appended = append(appended, words)
			if words[1] == "FORWARD" {
				chains = append(chains, after(words, "-j"))
			}
		}
	}
	for _, words := range appended {
		if slices.Contains(chains, words[1]) && accepts(words, bridge) {
			return passed
		}
	}
	return policy
}

// accepts says whether a rule lets all pass that comes from the bridge, as far as its words can tell.
func accepts(rule []string, bridge string) bool {
	for i, word := range rule {
		if word == "-p" || word == "!" || word == "-m" && after(rule[i:], "-m") != "comment" {
			return false
		}
	}
	all := after(rule, "-i") == "" && after(rule, "-o") == "" && after(rule, "-s") == "" && after(rule, "-d") == ""
	return after(rule, "-j") == "ACCEPT" && (all || after(rule, "-i") == bridge)
}

// after is the word behind another, or "".
func after(words []string, word string) string {
	if i := slices.Index(words, word); i >= 0 && i+1 < len(words) {
		return words[i+1]
	}
	return ""
}

// droppingChain is the first chain on the forward hook whose policy is drop, as `nft -j list chains` tells: its family,
// table and name. That of iptables is left out where iptables itself was asked.
func droppingChain(data []byte, sawIptables bool) string {
	var list struct {
		Nftables []struct {
			Chain struct{ Family, Table, Name, Hook, Policy string }
		}
	}
	if json.Unmarshal(data, &list) != nil {
		return ""
	}
	for _, entry := range list.Nftables {
		c := entry.Chain
		seen := sawIptables && c.Family == "ip" && c.Table == "filter" && c.Name == "FORWARD"
		if c.Hook == "forward" && c.Policy == "drop" && !seen && slices.Contains([]string{"ip", "inet"}, c.Family) {
			return fmt.Sprintf("%s %s %s", c.Family, c.Table, c.Name)
		}
	}
	return ""
}

// checkNAT: root sees the table itself, others whether the unit that makes it is active.
func checkNAT(ctx context.Context, q CheckQuery, r *Report) Result {
	switch {
	case r.Bridge.Name == "":
		return skipped("no bridge")
	case !r.own:
		return skipped(r.Bridge.Name + " is not qlaunch's own")
	case os.Geteuid() == 0:
		if _, err := q.run(ctx, "nft", "list", "table", "ip", "qlaunch"); err != nil {
			return fail(r.wrong(ErrNoNAT, err.Error()))
		}
		return ok("nft table ip qlaunch")
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

package netsetup

import (
	"fmt"
	"net/netip"
	"slices"
)

// A Left is what teardown does not take back, and why.
type Left struct {
	Item
	Why string
}

// Unplan is how to take back the steps that setups have done, given in the order in which they were done, with the From
// of before the first: the last first. What has been changed since by somebody else, or is needed by something else now, is left. It is pure.
func Unplan(done []Step, have Host) (steps []Step, left []Left) {
	for _, s := range slices.Backward(done) {
		now := have.States[s.Item]
		if s.Same(now, s.From) || now == "" && s.Kind == KindFilter { // a table that is gone holds nothing of ours
			continue
		}
		back := Step{Item: s.Item, From: now, To: s.From, Then: s.Then, Why: "as it was found"}
		switch {
		case s.Kind == KindShared && now != s.To: // the administrator has worked on it: only our line goes
			back.To, back.Why = WithoutInclude(now), "the rest has changed since, and stays"
		case s.Item == Item{KindSysctl, ipForward} && len(have.forwarders()) > 0:
			left = append(left, Left{s.Item, fmt.Sprintf("stays %s: %s needs it", now, have.forwarders()[0])})
			continue
		case !s.Same(now, s.To) && !byName(s.Kind) && !halfway(s, now):
			left = append(left, Left{s.Item, "has changed since, and stays"})
			continue
		}
		if !s.Same(back.From, back.To) {
			steps = append(steps, back)
		}
	}
	return steps, left
}

// halfway says of a mode whether it is between a step's two: who is killed between chown(2), which takes the setuid bit
// away, and chmod(2) leaves that.
func halfway(s Step, now string) bool {
	if s.Kind != KindMode {
		return false
	}
	for _, mode := range []string{s.From, s.To} {
		for _, owners := range []string{s.From, s.To} {
			for _, setuid := range []string{mode[:1], "0"} {
				if now == setuid+mode[1:4]+owners[4:] {
					return true
				}
			}
		}
	}
	return false
}

// byName says of a kind that its items bear our name, and are ours whatever they are like.
func byName(k Kind) bool {
	return slices.Contains([]Kind{KindBridge, KindTable, KindFilter, KindChain, KindUnit, KindDaemon, KindZone}, k)
}

// forwarders are the bridges of others that have IPv4 addresses: their guests, or containers, go out through this host.
func (h Host) forwarders() []string {
	var names []string
	for _, b := range h.Bridges {
		if b.Name != h.Previous.Bridge && slices.ContainsFunc(b.Addrs, func(a netip.Prefix) bool { return a.Addr().Is4() }) {
			names = append(names, b.Name)
		}
	}
	return names
}

package host

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

// Undo is how to take back the steps that setups have done, given in the order in which they were done, with the From
// of before the first: the last first. What has been changed since by somebody else, or is needed by something else
// now, is left. It is pure.
func Undo(done []Step, facts Facts) (steps []Step, left []Left) {
	for _, s := range slices.Backward(done) {
		now := facts.States[s.Item]
		if s.same(now, s.From) || now == "" && s.Kind == KindFilter { // a table that is gone holds nothing of ours
			continue
		}
		back := Step{Item: s.Item, From: now, To: s.From, Then: s.Then, Why: "as it was found"}
		switch {
		case s.Kind == KindShared && now != s.To: // the administrator has worked on it: only our line goes
			back.To, back.Why = withoutInclude(now), "the rest has changed since, and stays"
		case s.Item == Item{KindSysctl, ipForward} && len(facts.forwarders()) > 0:
			left = append(left, Left{s.Item, fmt.Sprintf("stays %s: %s needs it", now, facts.forwarders()[0])})
			continue
		case !s.same(now, s.To) && !kinds()[s.Kind].byName && !halfway(s, now):
			left = append(left, Left{s.Item, "has changed since, and stays"})
			continue
		}
		if !s.same(back.From, back.To) {
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

// forwarders are the bridges of others that have IPv4 addresses: their guests, or containers, go out through this host.
func (h Facts) forwarders() []string {
	var names []string
	for _, b := range h.Bridges {
		if b.Name != h.Previous.Bridge && slices.ContainsFunc(b.Addrs, func(a netip.Prefix) bool { return a.Addr().Is4() }) {
			names = append(names, b.Name)
		}
	}
	return names
}

package host

import (
	"fmt"
	"net/netip"
	"slices"
)

// A Left is an item that teardown does not restore, and the reason.
type Left struct {
	Item
	Why string
}

// Undo returns the steps that undo the steps of setups, the last one first. done has them in the order in which they
// were done, with the From of before the first setup. Items that have changed since, or that another program needs now,
// are left. It is a pure function.
func Undo(done []Step, facts Facts) (steps []Step, left []Left) {
	for _, s := range slices.Backward(done) {
		now := facts.States[s.Item]
		if s.same(now, s.From) || now == "" && s.Kind == KindFilter { // a removed table has nothing of ours
			continue
		}
		back := Step{Item: s.Item, From: now, To: s.From, Then: s.Then, Why: "as it was found"}
		switch {
		case s.Kind == KindShared && now != s.To: // the administrator has edited it: remove only our line
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

// halfway reports whether a mode is between the two of a step, as a run leaves it that was killed between chown(2),
// which clears the setuid bit, and chmod(2).
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

// forwarders returns the bridges of other programs that have IPv4 addresses: this host forwards for their guests or
// containers.
func (h Facts) forwarders() []string {
	var names []string
	for _, b := range h.Bridges {
		if b.Name != h.Previous.Bridge && slices.ContainsFunc(b.Addrs, func(a netip.Prefix) bool { return a.Addr().Is4() }) {
			names = append(names, b.Name)
		}
	}
	return names
}

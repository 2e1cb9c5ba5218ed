package lease

import (
	"fmt"
	"net/netip"
)

// A Claim is what a guest says of the addresses of its own interface that has the query's MAC.
type Claim struct {
	Path       string // where it was asked
	Interfaces int    // that it told of
	Matched    bool   // one of them has the MAC
	Addresses  []netip.Addr
	Err        error // why it could not be asked
}

// mostClaimed is more addresses than a NIC has in earnest: an answer is not to fill a screen.
const mostClaimed = 16

// Hear judges what a guest says by the rules that hold for what others say of it: see Look.
func Hear(q Query, c Claim) Report {
	l, err := findLink(q.Bridge)
	if c.Err == nil {
		c.Err = err
	}
	return judgeClaim(q, l, l.waysOf(c.Addresses[:min(len(c.Addresses), mostClaimed)]), c)
}

// judgeClaim is pure.
func judgeClaim(q Query, l link, ways map[netip.Addr]way, c Claim) Report {
	rep := Report{Source: Agent, Path: c.Path, Entries: c.Interfaces}
	if c.Err != nil {
		rep.Reason = reason(c.Err)
		rep.Verdict = "not asked: " + rep.Reason
		return rep
	}
	rep.Readable, rep.Matched = true, c.Matched
	for i, ip := range c.Addresses {
		if i == mostClaimed {
			rep.Skipped = len(c.Addresses) - i
			break
		}
		rep.Addresses = append(rep.Addresses, Address{
			IP: zoned(ip, l), Source: Agent, Path: c.Path, Freshness: ThisStart, Refused: refusal(ip, l, ways[ip]),
		})
	}
	switch {
	case !c.Matched:
		rep.Verdict = fmt.Sprintf("no interface with %s", q.MAC)
	case len(rep.Addresses) == 0:
		rep.Verdict = "no address"
	default:
		rep.Verdict = describeAll(rep.Addresses)
	}
	if rep.Skipped > 0 {
		rep.Verdict += fmt.Sprintf("; and %d more", rep.Skipped)
	}
	return rep
}

package lease

import (
	"fmt"
	"net/netip"
)

// AgentReply is what the guest agent reports about the guest's interface with the query's MAC.
type AgentReply struct {
	Path       string // of the agent's socket
	Interfaces int    // the number of interfaces that it reported
	Matched    bool   // one of them has the MAC
	Addresses  []netip.Addr
	Err        error // why the agent could not be queried
}

// maxAgentAddresses limits the addresses of a reply, so that it does not fill the screen; real NICs have fewer.
const maxAgentAddresses = 16

// JudgeAgent checks the addresses in an agent's reply by the same rules as those of the other sources: see Look.
func JudgeAgent(q Query, c AgentReply) Report {
	l, err := findLink(q.Bridge)
	if c.Err == nil {
		c.Err = err
	}
	return judgeAgentReply(q, l, l.waysOf(c.Addresses[:min(len(c.Addresses), maxAgentAddresses)]), c)
}

// judgeAgentReply is pure.
func judgeAgentReply(q Query, l link, ways map[netip.Addr]way, c AgentReply) Report {
	rep := Report{Source: Agent, Path: c.Path, Entries: c.Interfaces}
	if c.Err != nil {
		rep.Reason = reason(c.Err)
		rep.Verdict = "not asked: " + rep.Reason
		return rep
	}
	rep.Readable, rep.Matched = true, c.Matched
	for i, ip := range c.Addresses {
		if i == maxAgentAddresses {
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

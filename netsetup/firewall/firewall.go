// Package firewall reads what `iptables -S` and `nft -j list ruleset` print, and says whether the rules let a guest's
// packet pass. It knows the packets that a guest cannot do without, and of each only what a rule can ask of its first
// one.
//
// A rule that asks for something else (a mark, a limit, a set of its own) may apply or not. Where such a rule would
// have let the packet pass, a verdict is unsure. NAT, raw and mangle tables, and the bridge and netdev families, are
// not read.
package firewall

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// A Packet is the first of its kind that a guest sends, as a firewall of this host sees it. What is left open may be
// anything.
type Packet struct {
	hook       string         // at which the kernel shows it to a firewall: "input", "forward"
	in         string         // the bridge that it comes in from
	out        []string       // the links that it may leave by; none: it is for this host
	from, to   []netip.Prefix // where its addresses lie
	protocol   string
	sport      uint16
	dport      uint16
	addressing string // of its destination: "broadcast"
}

// Outgoing is what a guest with an address in one of these subnets sends to other networks, by one of these links.
func Outgoing(bridge string, subnets []netip.Prefix, links []string) Packet {
	return Packet{hook: "forward", in: bridge, from: subnets, out: links}
}

// DHCPRequest is what a guest without an address on a bridge asks a server of this host: RFC 2131, section 4.1.
func DHCPRequest(bridge string) Packet {
	only := func(a, b, c, d byte) []netip.Prefix {
		return []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, c, d}), 32)}
	}
	return Packet{hook: "input", in: bridge, from: only(0, 0, 0, 0), to: only(255, 255, 255, 255),
		protocol: "udp", sport: 68, dport: 67, addressing: "broadcast"}
}

// BridgedDHCPRequest is the same on its way to a server behind another port of the bridge, where frames between ports
// pass the forward hook: net.bridge.bridge-nf-call-iptables.
func BridgedDHCPRequest(bridge string) Packet {
	p := DHCPRequest(bridge)
	p.hook, p.out = "forward", []string{bridge}
	return p
}

// A Drop is what keeps a packet from its way.
type Drop struct {
	Chain  string // that drops or rejects it: a chain of iptables' table filter, or nft's "FAMILY TABLE CHAIN"
	Nft    bool   // it is nft's
	Detail string // the rule or the policy, in a line
	Unsure bool   // a rule that may apply would have saved the packet
}

// A match is whether a rule applies to a packet. A rule can ask for what is not known here.
type match int

const (
	no match = iota
	maybe
	yes
)

func (m match) not() match { return yes - m }

func known(is bool) match {
	if is {
		return yes
	}
	return no
}

// anyOf is the best match of one of several values.
func anyOf[T any](values []T, is func(T) match) match {
	best := no
	for _, v := range values {
		best = max(best, is(v))
	}
	return best
}

// link says whether one of these links has that name, in which a last + or * stands for any ending: that of iptables
// and that of nft.
func link(name string, links ...string) match {
	prefix := strings.TrimRight(name, "+*")
	return known(slices.ContainsFunc(links, func(l string) bool {
		return l == name || prefix != name && strings.HasPrefix(l, prefix)
	}))
}

// within says whether addresses that lie in these subnets are in a subnet, or are an address.
func within(text string, subnets []netip.Prefix) match {
	subnet, err := netip.ParsePrefix(text)
	if err != nil {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return maybe
		}
		subnet = netip.PrefixFrom(ip, ip.BitLen())
	}
	outside := func(p netip.Prefix) bool { return subnet.Bits() > p.Bits() || !subnet.Overlaps(p) }
	switch {
	case len(subnets) == 0:
		return maybe
	case !slices.ContainsFunc(subnets, subnet.Overlaps):
		return no
	case slices.ContainsFunc(subnets, outside):
		return maybe
	}
	return yes
}

// is says whether the packet is of a protocol: a name, or a number where a host lacks /etc/protocols.
func (p Packet) is(protocol string) match {
	if p.protocol == "" {
		return maybe
	}
	return known(protocol == p.protocol || p.protocol == "udp" && protocol == "17")
}

// addressed is about the kind of the destination: broadcast, local, multicast.
func (p Packet) addressed(kind string) match {
	if p.addressing == "" {
		return maybe
	}
	return known(p.addressing == strings.ToLower(kind))
}

// begins says whether a packet of no connection yet is in one of these states.
func begins(states ...string) match {
	return known(slices.ContainsFunc(states, func(s string) bool { return strings.EqualFold(s, "new") }))
}

// What a rule does with a packet, and what becomes of one. Whoever rejects drops, as far as the packet is concerned.
const (
	accepts = "accept"
	drops   = "drop"
	returns = "return"
	jumps   = "jump"
	goes    = "goto"
)

// A rule is one of a firewall's, beside one packet.
type rule struct {
	applies match
	does    string
	chain   string // to jump or go to
	text    string // how people know it
}

// A chain is one of a firewall's, beside one packet.
type chain struct {
	hook   string // at which the kernel itself calls it; empty: other chains call it
	policy string // what it does at its end: accept or drop
	rules  []rule
}

// A ruleset are a firewall's chains by their names.
type ruleset map[string]*chain

func (s ruleset) chain(name string) *chain {
	if s[name] == nil {
		s[name] = &chain{}
	}
	return s[name]
}

// An end is how a packet leaves a chain.
type end struct {
	verdict string // accepts or drops; empty: it comes back to where the chain was called
	rule    string // the text of the rule; empty: the policy
	chain   string // that has the rule, or the policy
	unsure  bool   // a rule that may apply would have saved it
}

// at follows the packet through the chains that the kernel calls at its hook. Each of them can drop it.
func (s ruleset) at(hook string) end {
	last := end{verdict: accepts}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if s[name].hook != hook {
			continue
		}
		e := s.follow(name, map[string]end{})
		if e.verdict == "" {
			e.verdict, e.chain = s[name].policy, name
		}
		if e.verdict == drops && (last.verdict != drops || last.unsure) {
			last = e
		}
	}
	return last
}

// follow goes through a chain. done holds what is known of others, so that each is gone through once, and a circle
// ends.
func (s ruleset) follow(name string, done map[string]end) end {
	if e, ok := done[name]; ok || s[name] == nil {
		return e
	}
	done[name] = end{}
	done[name] = s.through(name, done)
	return done[name]
}

// through goes through the rules of a chain. One that may apply, and would not drop, leaves in doubt what comes after
// it.
func (s ruleset) through(name string, done map[string]end) end {
	unsure := false
	for _, r := range s[name].rules {
		if r.applies == no || r.does == "" {
			continue
		}
		e := s.effect(r, name, done)
		leaves := e.verdict != "" || r.does == goes
		unsure = unsure || e.unsure || r.applies == maybe && leaves && e.verdict != drops
		if r.applies == yes && leaves {
			e.unsure = unsure
			if e.verdict == returns {
				e.verdict = ""
			}
			return e
		}
	}
	return end{unsure: unsure}
}

// effect is what a rule that applies does.
func (s ruleset) effect(r rule, name string, done map[string]end) end {
	if r.does == jumps || r.does == goes {
		return s.follow(r.chain, done)
	}
	return end{verdict: r.does, rule: r.text, chain: name}
}

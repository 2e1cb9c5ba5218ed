package netsetup

import (
	"net/netip"
	"slices"
	"strings"
)

// A packet is the first of its kind that a guest sends, as a firewall of this host sees it. What is left open may be
// anything.
type packet struct {
	in         string         // the bridge that it comes in from
	out        []string       // the links that it may leave by; none: it is for this host
	from, to   []netip.Prefix // where its addresses lie
	protocol   string
	sport      uint16
	dport      uint16
	addressing string // of its destination: "broadcast"
}

// dhcpRequest is what a guest without an address sends: RFC 2131, section 4.1.
func dhcpRequest(bridge string) packet {
	only := func(a, b, c, d byte) []netip.Prefix {
		return []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, c, d}), 32)}
	}
	return packet{in: bridge, from: only(0, 0, 0, 0), to: only(255, 255, 255, 255),
		protocol: "udp", sport: 68, dport: 67, addressing: "broadcast"}
}

// An answer is whether a rule applies to a packet. A rule can ask for what is not known here.
type answer int

const (
	no answer = iota
	maybe
	yes
)

func (a answer) not() answer { return yes - a }

func known(is bool) answer {
	if is {
		return yes
	}
	return no
}

// link says whether one of these links has that name, in which a last + or * stands for any ending: that of iptables and that of nft.
func link(name string, links ...string) answer {
	prefix := strings.TrimRight(name, "+*")
	return known(slices.ContainsFunc(links, func(l string) bool {
		return l == name || prefix != name && strings.HasPrefix(l, prefix)
	}))
}

// within says whether addresses that lie in these subnets are in a subnet, or are an address.
func within(text string, subnets []netip.Prefix) answer {
	subnet, err := netip.ParsePrefix(text)
	if err != nil {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return maybe
		}
		subnet = netip.PrefixFrom(ip, ip.BitLen())
	}
	inside := func(p netip.Prefix) bool { return subnet.Bits() <= p.Bits() && subnet.Overlaps(p) }
	switch {
	case len(subnets) == 0:
		return maybe
	case !slices.ContainsFunc(subnets, subnet.Overlaps):
		return no
	case slices.ContainsFunc(subnets, func(p netip.Prefix) bool { return !inside(p) }):
		return maybe
	}
	return yes
}

// is says whether it is of a protocol: a name, or a number where a host lacks /etc/protocols.
func (p packet) is(protocol string) answer {
	if p.protocol == "" {
		return maybe
	}
	number := map[string]string{"udp": "17"}[p.protocol]
	return known(protocol == p.protocol || protocol == number)
}

// addressed is about the kind of the destination: broadcast, local, multicast.
func (p packet) addressed(kind string) answer {
	if p.addressing == "" {
		return maybe
	}
	return known(p.addressing == strings.ToLower(kind))
}

// begins says whether a packet of no connection yet is in one of these states.
func begins(states ...string) answer {
	return known(slices.ContainsFunc(states, func(s string) bool { return strings.EqualFold(s, "new") }))
}

// What a rule does with a packet, and what becomes of one. Unlike in a verdict of the firewall's own, whoever refuses drops.
const (
	accepts = "accept"
	drops   = "drop"
	returns = "return"
	jumps   = "jump"
	goes    = "goto"
)

// A filterRule is a rule of a firewall's, beside one packet.
type filterRule struct {
	applies answer
	does    string
	chain   string // to jump or go to
	text    string // how people know it
}

// A filterChain is a chain of a firewall's, beside one packet.
type filterChain struct {
	hook   string // at which the kernel itself calls it: "input", "forward"; empty: other chains call it
	policy string // what it does at its end: accept or drop
	rules  []filterRule
}

// A ruleset are a firewall's chains by their names.
type ruleset map[string]*filterChain

func (s ruleset) chain(name string) *filterChain {
	if s[name] == nil {
		s[name] = &filterChain{}
	}
	return s[name]
}

// A fate is what becomes of a packet.
type fate struct {
	verdict string // accepts or drops; empty when a chain has none
	why     string // the rule; empty: the policy
	chain   string // that has the rule, or the policy
	unsure  bool   // a rule that may apply would have saved it
}

// at is the fate of the packet in the chains that the kernel calls at a hook. Each of them can drop it.
func (s ruleset) at(hook string) fate {
	f := fate{verdict: accepts}
	for _, name := range s.names() {
		if s[name].hook != hook {
			continue
		}
		end := s.follow(name, map[string]fate{})
		if end.verdict == "" {
			end.verdict, end.chain = s[name].policy, name
		}
		if end.verdict == drops && (f.verdict != drops || f.unsure) {
			f = end
		}
	}
	return f
}

func (s ruleset) names() []string {
	var names []string
	for name := range s {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// follow goes through a chain. done holds what is known of others, so that each is gone through once, and a circle ends.
func (s ruleset) follow(name string, done map[string]fate) fate {
	if f, ok := done[name]; ok || s[name] == nil {
		return f
	}
	done[name] = fate{}
	f := s.through(name, done)
	done[name] = f
	return f
}

// through goes through the rules of a chain. One that may apply, and would not drop, leaves in doubt what comes after it.
func (s ruleset) through(name string, done map[string]fate) fate {
	unsure := false
	for _, r := range s[name].rules {
		if r.applies == no || r.does == "" {
			continue
		}
		end := s.effect(r, name, done)
		leaves := end.verdict != "" || r.does == goes
		unsure = unsure || end.unsure || r.applies == maybe && leaves && end.verdict != drops
		if r.applies == yes && leaves {
			end.unsure = unsure
			if end.verdict == returns {
				end.verdict = ""
			}
			return end
		}
	}
	return fate{unsure: unsure}
}

// effect is what a rule that applies does.
func (s ruleset) effect(r filterRule, name string, done map[string]fate) fate {
	if r.does == jumps || r.does == goes {
		return s.follow(r.chain, done)
	}
	return fate{verdict: r.does, why: r.text, chain: name}
}

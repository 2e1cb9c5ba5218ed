package firewall

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// IPTables says whether the rules that `iptables -S` prints drop the packet; nil: they do not.
func (p Packet) IPTables(rules string) *Drop {
	e := readIPTables(rules, p).at(p.hook)
	if e.verdict != drops {
		return nil
	}
	d := &Drop{Chain: e.chain, Unsure: e.unsure, Detail: "iptables: " + e.rule}
	if e.rule == "" {
		d.Detail = fmt.Sprintf("iptables: %s has the policy DROP, and no rule accepts what comes from %s", e.chain, p.in)
	}
	return d
}

// readIPTables reads what `iptables -S` prints, beside a packet.
func readIPTables(text string, p Packet) ruleset {
	s := ruleset{}
	for line := range strings.Lines(text) {
		words := splitQuoted(strings.TrimSpace(line))
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "-P":
			c := s.chain(words[1])
			c.hook, c.policy = strings.ToLower(words[1]), strings.ToLower(words[len(words)-1])
		case "-A":
			r := p.iptablesRule(words[2:])
			r.text = strings.TrimSpace(line)
			c := s.chain(words[1])
			c.rules = append(c.rules, r)
		}
	}
	return s
}

// splitQuoted splits a line at its blanks, but for those in double quotes.
func splitQuoted(line string) []string {
	quoted, escaped := false, false
	words := strings.FieldsFunc(line, func(c rune) bool {
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		}
		return c == ' ' && !quoted
	})
	return words
}

// iptablesRule reads the options of a rule: up to the target, whose own options follow it.
func (p Packet) iptablesRule(words []string) rule {
	r := rule{applies: yes}
	for len(words) > 0 {
		inverted := words[0] == "!"
		if inverted {
			words = words[1:]
		}
		option, value, rest := cutOption(words)
		words = rest
		if option == "-j" || option == "-g" {
			return r.target(option, value)
		}
		a := p.iptablesOption(option, value)
		if inverted {
			a = a.not()
		}
		r.applies = min(r.applies, a)
	}
	return r
}

// cutOption takes an option and its values off the front. A comment is one value, and may look like anything.
func cutOption(words []string) (option, value string, rest []string) {
	if len(words) == 0 {
		return "", "", nil
	}
	n := 1
	for n < len(words) && words[n] != "!" && !strings.HasPrefix(words[n], "-") {
		n++
	}
	if words[0] == "--comment" {
		n = min(2, len(words))
	}
	return words[0], strings.Join(words[1:n], " "), words[n:]
}

// target is the rule with what it does. Those that are neither verdicts nor chains, such as LOG, change nothing.
func (r rule) target(option, name string) rule {
	switch name {
	case "ACCEPT":
		r.does = accepts
	case "DROP", "REJECT":
		r.does = drops
	case "RETURN":
		r.does = returns
	case "QUEUE", "NFQUEUE": // a program decides
		r.does, r.applies = accepts, min(r.applies, maybe)
	default:
		r.does, r.chain = jumps, name
		if option == "-g" {
			r.does = goes
		}
	}
	return r
}

// iptablesOption says whether the packet meets one option.
func (p Packet) iptablesOption(option, value string) match {
	switch option {
	case "-i":
		return link(value, p.in)
	case "-o":
		return link(value, p.out...)
	case "-s":
		return within(value, p.from)
	case "-d":
		return within(value, p.to)
	case "-p":
		return p.is(value)
	case "--sport", "--sports":
		return p.ports(value, p.sport)
	case "--dport", "--dports":
		return p.ports(value, p.dport)
	case "--ctstate", "--state":
		return begins(strings.Split(value, ",")...)
	case "--dst-type":
		return anyOf(strings.Split(value, ","), p.addressed)
	case "--comment":
		return yes
	case "-m":
		return max(maybe, known(slices.Contains([]string{"comment", "udp", "tcp", "multiport", "conntrack", "state", "addrtype"}, value)))
	}
	return maybe
}

// ports is about a list of ports, or of FIRST:LAST.
func (p Packet) ports(list string, port uint16) match {
	if p.protocol == "" {
		return maybe
	}
	return anyOf(strings.Split(list, ","), func(item string) match {
		first, last, isRange := strings.Cut(item, ":")
		if !isRange {
			last = first
		}
		low, err1 := strconv.ParseUint(first, 10, 16)
		high, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil {
			return maybe
		}
		return known(uint16(low) <= port && port <= uint16(high))
	})
}

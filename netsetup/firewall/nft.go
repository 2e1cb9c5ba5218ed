package firewall

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Nft says whether the rules that `nft -j -t list ruleset` prints drop the packet; nil: they do not. iptables is
// whether [Packet.IPTables] has read what is in the chains of iptables' table, of which nft tells less. The error is
// that of JSON.
func (p Packet) Nft(rules []byte, iptables bool) (*Drop, error) {
	s, err := readNft(rules, p, iptables)
	if err != nil {
		return nil, err
	}
	e := s.at(p.hook)
	if e.verdict != drops {
		return nil, nil
	}
	detail := fmt.Sprintf("nft chain %s has a %s for what comes from %s", e.chain, e.rule, p.in)
	if e.rule == "" {
		detail = fmt.Sprintf("nft chain %s has the policy drop", e.chain)
	}
	return &Drop{Chain: e.chain, Nft: true, Unsure: e.unsure, Detail: detail}, nil
}

// nftRule is a rule as `nft -j list ruleset` has it, libnftables-json(5): its statements have one key each.
type nftRule struct {
	Family, Table, Chain string
	Expr                 []map[string]any
}

// readNft reads what `nft -j list ruleset` prints, beside an IPv4 packet. The chains of which iptables tells more,
// where it was asked, are at no hook then.
func readNft(data []byte, p Packet, sawIPTables bool) (ruleset, error) {
	var list struct {
		Nftables []struct {
			Chain *struct{ Family, Table, Name, Hook, Policy string }
			Rule  *nftRule
		}
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("nft: %w", err)
	}
	s := ruleset{}
	for _, entry := range list.Nftables {
		if c := entry.Chain; c != nil && of4(c.Family) {
			chain := s.chain(nftName(c.Family, c.Table, c.Name))
			chain.hook, chain.policy = c.Hook, c.Policy
			if sawIPTables && c.Family == "ip" && c.Table == "filter" && c.Name == strings.ToUpper(c.Hook) {
				chain.hook = ""
			}
		}
		if r := entry.Rule; r != nil && of4(r.Family) {
			chain := s.chain(nftName(r.Family, r.Table, r.Chain))
			chain.rules = append(chain.rules, p.nftRules(*r)...)
		}
	}
	return s, nil
}

func of4(family string) bool { return family == "ip" || family == "inet" }

func nftName(words ...string) string { return strings.Join(words, " ") }

// nftRules are what a rule is to the packet: one rule, or one for each verdict of a map.
func (p Packet) nftRules(r nftRule) []rule {
	applies := yes
	for _, statement := range r.Expr {
		for key, value := range statement {
			switch key {
			case "match":
				applies = min(applies, p.nftMatch(value))
			case "counter", "log":
			case "vmap":
				return p.nftMap(r, applies, value)
			case "accept", "drop", "reject", "return", "jump", "goto":
				return []rule{r.verdict(applies, key, value)}
			default:
				applies = min(applies, maybe) // a limit, a set, or something of xtables'
			}
		}
	}
	return nil
}

// verdict is a rule that ends in one.
func (r nftRule) verdict(applies match, key string, value any) rule {
	f := rule{applies: applies, does: key, text: key}
	switch key {
	case "reject":
		f.does = drops
	case jumps, goes:
		f.chain = nftName(r.Family, r.Table, text(value, "target"))
	}
	return f
}

// nftMap is a map from what a packet has to a verdict.
func (p Packet) nftMap(r nftRule, applies match, value any) []rule {
	pairs, listed := at(value, "data", "set").([]any)
	if !listed { // a map of its own, whose elements are not among the rules
		return []rule{{applies: maybe, does: accepts}}
	}
	var rules []rule
	for _, pair := range pairs {
		keyed, _ := pair.([]any)
		if len(keyed) != 2 {
			continue
		}
		verdict, _ := keyed[1].(map[string]any)
		for key, then := range verdict {
			has := p.nftHas(at(value, "key"), keyed[0])
			rules = append(rules, r.verdict(min(applies, has), key, then))
		}
	}
	return rules
}

// nftMatch says whether the packet meets a match.
func (p Packet) nftMatch(value any) match {
	has := p.nftHas(at(value, "left"), at(value, "right"))
	switch text(value, "op") {
	case "==", "in":
		return has
	case "!=":
		return has.not()
	}
	return maybe
}

// nftHas says whether what is on the left is, for the packet, what is on the right, or is in that.
func (p Packet) nftHas(left, right any) match {
	values, several := right.([]any)
	if set, ok := at(right, "set").([]any); ok {
		values, several = set, true
	}
	if !several {
		values = []any{right}
	}
	return anyOf(values, func(v any) match { return p.nftIs(left, v) })
}

func (p Packet) nftIs(left, right any) match {
	word := nftWord(right)
	if strings.HasPrefix(word, "@") { // a set of its own
		return maybe
	}
	switch protocol := text(left, "payload", "protocol"); protocol {
	case "ip":
		return p.nftHeader(text(left, "payload", "field"), word)
	case "ip6":
		return no
	case "udp", "th":
		return p.nftPort(text(left, "payload", "field"), right)
	case "":
	default:
		return min(maybe, p.is(protocol))
	}
	if word == "" {
		return maybe
	}
	switch {
	case text(left, "ct", "key") == "state":
		return begins(word)
	case text(left, "ct", "key") == "status": // what has been translated, or answered, is of a connection
		return no
	case text(left, "fib", "result") == "type" && fmt.Sprint(at(left, "fib", "flags")) == "[daddr]":
		return p.addressed(word)
	}
	return p.nftMeta(text(left, "meta", "key"), word)
}

// nftWord is a value as a word: a name, a number, or a subnet. It is empty for others.
func nftWord(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case float64:
		return fmt.Sprint(v)
	}
	if addr := text(value, "prefix", "addr"); addr != "" {
		return fmt.Sprintf("%s/%v", addr, at(value, "prefix", "len"))
	}
	return ""
}

func (p Packet) nftMeta(key, word string) match {
	switch key {
	case "iif", "iifname":
		return link(word, p.in)
	case "oif", "oifname":
		return link(word, p.out...)
	case "l4proto":
		return p.is(word)
	case "nfproto":
		return known(word == "ipv4")
	case "pkttype":
		return p.addressed(word)
	}
	return maybe
}

// nftHeader is about a field of IPv4's header.
func (p Packet) nftHeader(field, word string) match {
	switch field {
	case "saddr":
		return within(word, p.from)
	case "daddr":
		return within(word, p.to)
	case "protocol":
		return p.is(word)
	}
	return maybe
}

// nftPort is about a port: a number, or a range of them.
func (p Packet) nftPort(field string, right any) match {
	port, ok := map[string]uint16{"sport": p.sport, "dport": p.dport}[field]
	first, last := right, right
	if ends, _ := at(right, "range").([]any); len(ends) == 2 {
		first, last = ends[0], ends[1]
	}
	low, isLow := first.(float64)
	high, isHigh := last.(float64)
	if !ok || !isLow || !isHigh || p.protocol == "" {
		return maybe
	}
	return known(low <= float64(port) && float64(port) <= high)
}

// at is the value behind some keys of an object, nil where there is none.
func at(value any, keys ...string) any {
	for _, key := range keys {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	return value
}

func text(value any, keys ...string) string {
	s, _ := at(value, keys...).(string)
	return s
}

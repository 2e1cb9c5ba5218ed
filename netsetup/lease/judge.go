package lease

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
)

// judge makes the reports from a view. It is pure. base is the baseline from before the start of the guest, or nil.
func judge(q Query, v view, base *baseline) []Report {
	reports := make([]Report, 0, len(v.files)+2)
	for _, r := range v.files {
		reports = append(reports, judgeFile(q, v, base, r))
	}
	return append(reports, judgeNeighbours(q, v, base), judgeFrames(q, v, base))
}

func judgeFile(q Query, v view, base *baseline, r reading) Report {
	rep := Report{Source: r.source, Path: r.path, Modified: r.modified, Entries: len(r.leases), Skipped: r.skipped}
	if !r.modified.IsZero() {
		rep.Age = max(0, v.at.Sub(r.modified))
	}
	if r.err != nil {
		rep.Reason = reason(r.err)
		rep.Verdict = "not asked: " + rep.Reason
		return rep
	}
	rep.Readable = true
	for _, l := range r.leases {
		if !sameMAC(l.mac, q.MAC) {
			continue
		}
		rep.Addresses = append(rep.Addresses, judgeLease(q, v, base, r, l))
	}
	rep.Matched = len(rep.Addresses) > 0
	slices.SortStableFunc(rep.Addresses, byExpiry)
	rep.Verdict = fileVerdict(q, rep)
	return rep
}

func judgeLease(q Query, v view, base *baseline, r reading, l lease) Address {
	a := Address{
		IP: zoned(l.ip, v.link), Source: r.source, Path: r.path, Hostname: l.hostname, Expiry: l.expiry,
		Freshness: leaseFreshness(q, base, r, l, v.at), Refused: refusal(l.ip, v.link, v.ways[l.ip]),
	}
	n, ours := v.neighbourAt(l.ip)
	if ours {
		a.Neighbour, a.Live = stateName(n.state), base.live(q, n) || v.answered[l.ip]
	}
	if a.Live && a.Freshness == Unknown && !q.Since.IsZero() {
		a.Freshness = ThisStart // the file does not show it, but the guest uses the address
	}
	a.expired = !l.expiry.IsZero() && !l.expiry.After(v.at)
	confirmed := ours && (holding{state: n.state}.sure() || n.seen().After(l.expiry) || v.answered[l.ip])
	if a.expired && a.Refused == "" && !confirmed {
		a.Refused = unconfirmed
	}
	return v.held(q, a, l.ip)
}

// unconfirmed is the reason for which an expired lease is refused: a guest that could not renew it may keep using the
// address, but it may also belong to another guest by now.
const unconfirmed = "expired, and not confirmed"

// held adds to an address what the kernel's neighbour table has for it.
func (v view) held(q Query, a Address, ip netip.Addr) Address {
	h, found := v.holdings[ip]
	if !found {
		return a
	}
	switch other := h.other(q); {
	case other != "" && (h.sure() || v.answered[ip]) && a.Refused == "":
		a.Refused = other + " has it"
	case other != "":
		a.Holder = other
	case len(h.mac) == 0 || h.state&known == 0:
		a.Neighbour = stateName(h.state)
		if a.Refused == unconfirmed && h.state&netlink.NUD_FAILED != 0 {
			a.Refused = "expired, and nobody answers"
		}
	}
	return a
}

// askable reports whether a reply of the guest would remove the doubt about the address.
func (a Address) askable() bool {
	doubt := a.Refused == unconfirmed || a.Refused == "" && (a.Holder != "" || a.Freshness == Older && !a.Live)
	return doubt && !a.IP.IsLinkLocalUnicast()
}

// leaseFreshness is the freshness of a lease as far as the file shows it. With a baseline, a lease that is not in it,
// or has another expiry, was granted since. Without one, a file that was last written before the start has no newer
// lease.
func leaseFreshness(q Query, base *baseline, r reading, l lease, at time.Time) Freshness {
	switch {
	case base != nil && !base.has(r.path, l):
		return ThisStart
	case base != nil && q.Since.IsZero():
		return Older
	case !r.now && q.started(at) && r.modified.Before(q.Since):
		return Older
	}
	return Unknown
}

func judgeNeighbours(q Query, v view, base *baseline) Report {
	rep := Report{Source: Neighbours, Path: "ip neigh show dev " + q.Bridge, Entries: v.kernel.neighbours}
	if err := v.kernel.neighbourErr; err != nil {
		rep.Reason = reason(err)
		rep.Verdict = "not asked: " + rep.Reason
		return rep
	}
	rep.Readable = true
	for _, n := range v.neighbours {
		rep.Addresses = append(rep.Addresses, Address{
			IP: zoned(n.ip, v.link), Source: Neighbours, Path: rep.Path, Neighbour: stateName(n.state),
			Live: base.live(q, n), Freshness: neighbourFreshness(q, base, n, v.at), Refused: refusal(n.ip, v.link, v.ways[n.ip]),
		})
	}
	rep.Matched = len(rep.Addresses) > 0
	rep.Verdict = fmt.Sprintf("no entry for %s", q.MAC)
	if rep.Matched {
		rep.Verdict = describeAll(rep.Addresses)
	}
	return rep
}

// neighbourFreshness is ThisStart if something since the start confirms the entry. An unconfirmed entry may be right,
// too: see verify.
func neighbourFreshness(q Query, base *baseline, n neighbour, at time.Time) Freshness {
	switch {
	case base == nil && !q.started(at):
		return Unknown
	case base.live(q, n):
		return ThisStart
	}
	return Older
}

func judgeFrames(q Query, v view, base *baseline) Report {
	rep := Report{Source: FDB, Path: "bridge fdb show br " + q.Bridge, Entries: v.kernel.frames}
	if err := v.kernel.sightedErr; err != nil {
		rep.Reason = reason(err)
		rep.Verdict = "not asked: " + rep.Reason
		return rep
	}
	rep.Readable = true
	if v.sighting.port == "" {
		rep.Verdict = fmt.Sprintf("no frames from %s", q.MAC)
		return rep
	}
	rep.Matched = true
	rep.Modified, rep.Age = v.sighting.last, max(0, v.at.Sub(v.sighting.last))
	rep.Verdict = fmt.Sprintf("frames from %s on %s", q.MAC, v.sighting.port)
	if !base.sends(q, v.sighting) {
		rep.Verdict += ", none since the start"
	}
	return rep
}

func (v view) neighbourAt(ip netip.Addr) (neighbour, bool) {
	i := slices.IndexFunc(v.neighbours, func(n neighbour) bool { return n.ip == ip })
	if i < 0 {
		return neighbour{}, false
	}
	return v.neighbours[i], true
}

// refusal returns why ip cannot be the address of a guest on the bridge, or an empty text. Lease files are untrusted,
// and ssh connects to the address in them. An address is on the bridge if the kernel would send it there: the host's
// own address may be a single one, with a route to the guests' subnet.
func refusal(ip netip.Addr, bridge link, w way) string {
	if why := noHost(ip); why != "" {
		return why
	}
	for _, own := range bridge.own {
		if own.Addr() == ip {
			return "the bridge's own address"
		}
		if own.Contains(ip) && isEdge(ip, own) {
			return "not a host's address in " + own.Masked().String()
		}
	}
	switch {
	case ip.IsLinkLocalUnicast():
		return ""
	case w.local:
		return "an address of this host's"
	case w.group, w.onLink && isEdge(ip, w.to):
		return "not a host's address in " + w.to.String()
	case w.foreign != "":
		return fmt.Sprintf("in %s, which is on %s", w.to, w.foreign)
	case w.onLink:
		return ""
	}
	return outside(ip, bridge, w)
}

// noHost returns why ip is not the address of a single host.
func noHost(ip netip.Addr) string {
	switch {
	case ip.IsLoopback():
		return "a loopback address"
	case ip.IsUnspecified(), ip.Is4() && ip.As4()[0] == 0: // RFC 1122, section 3.2.1.3: "this network"
		return "no address"
	case ip.IsMulticast():
		return "a multicast address"
	case ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "the broadcast address"
	}
	return ""
}

// outside returns whether an address that has only a default route is in none of the bridge's subnets. On a bridge on
// which the host has no address there is nothing to compare.
func outside(ip netip.Addr, bridge link, w way) string {
	hasAddress := false
	subnets := make([]string, 0, len(bridge.own))
	for _, own := range bridge.own {
		switch {
		case own.Contains(ip):
			return ""
		case own.Addr().Is4() == ip.Is4() && !own.Addr().IsLinkLocalUnicast():
			subnets = append(subnets, own.Masked().String())
		}
		hasAddress = hasAddress || !own.Addr().IsLinkLocalUnicast()
	}
	switch {
	case len(subnets) == 0 && hasAddress && w.link != "":
		return "sent to " + w.link + " by this host"
	case len(subnets) == 0:
		return ""
	}
	return "outside the bridge's " + strings.Join(subnets, ", ")
}

// isEdge reports whether ip is the first or the last address of an IPv4 subnet: the network or the broadcast address.
func isEdge(ip netip.Addr, subnet netip.Prefix) bool {
	if !ip.Is4() || subnet.Bits() >= 31 { // RFC 3021: a subnet of two has neither
		return false
	}
	return !subnet.Contains(ip.Prev()) || !subnet.Contains(ip.Next())
}

// zoned adds the interface as the zone to an IPv6 link-local address.
func zoned(ip netip.Addr, l link) netip.Addr {
	if ip.Is6() && ip.IsLinkLocalUnicast() {
		return ip.WithZone(l.name)
	}
	return ip
}

func fileVerdict(q Query, rep Report) string {
	words := fmt.Sprintf("no lease for %s", q.MAC)
	if rep.Matched {
		words = describeAll(rep.Addresses)
	}
	if rep.Skipped > 0 {
		words += fmt.Sprintf(" (%d unreadable entries skipped)", rep.Skipped)
	}
	return words
}

func describeAll(addresses []Address) string {
	words := make([]string, len(addresses))
	for i, a := range addresses {
		words[i] = describe(a)
	}
	return strings.Join(words, "; ")
}

// Doubt says what is not known about an [Older] address. The kernel's neighbour table cannot distinguish an entry
// that was made since the start, and is not confirmed yet, from an entry of an earlier guest.
func (a Address) Doubt() string {
	if a.IsLease() {
		return "from before this start"
	}
	return "not confirmed since this start"
}

// describe describes an address and what is known about it.
func describe(a Address) string {
	s := a.IP.String() + ": "
	switch {
	case a.Refused != "":
		return s + "refused, " + a.Refused
	case a.Source == Agent:
		return s + "told by the guest"
	case !a.IsLease():
		s += "seen by the kernel"
	default:
		s += "lease"
	}
	switch {
	case a.Freshness == ThisStart:
		s += " since this start"
	case a.Freshness == Older && a.IsLease():
		s += " " + a.Doubt()
	case a.Freshness == Older:
		s += ", " + a.Doubt()
	}
	if a.expired {
		s += ", expired"
	}
	if a.Neighbour != "" {
		s += ", " + a.Neighbour
	}
	if a.Holder != "" {
		s += ", and " + a.Holder + " was seen there"
	}
	return s
}

// byExpiry sorts the lease that lasts longest first; a lease without an expiry is the longest.
func byExpiry(a, b Address) int {
	end := func(a Address) time.Time {
		if a.Expiry.IsZero() {
			return time.Unix(1<<40, 0)
		}
		return a.Expiry
	}
	return cmp.Compare(end(b).Unix(), end(a).Unix())
}

package host

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/qlaunch/qlaunch/netsetup"
)

// A Request is what root asks of `net setup`. What is zero is left to [Resolve].
type Request struct {
	Bridge     string
	Subnet     netip.Prefix
	Users      []string
	Isolate    *bool // nil, here and below: as the last setup had it
	HostAccess *bool
	Inbound    *bool
	Names      []Name // nil: as the last setup had them
}

// rules says whether the request is about the guests of a bridge of our own: what they reach, and what they are called.
func (r Request) rules() bool {
	return r.Isolate != nil || r.HostAccess != nil || r.Inbound != nil || r.Names != nil
}

// The reasons for which setup refuses, beside a [netsetup.Failure].
var (
	// ErrNoProgram says that a program is not installed; the error is a [*NoProgramError].
	ErrNoProgram = errors.New("not installed")
	// ErrExposed says that the bridge that setup would run leads out of the host.
	ErrExposed = errors.New("has a port that leads out of the host")
	// ErrSubnetTaken says that the host knows another way to the guests' addresses.
	ErrSubnetTaken = errors.New("taken")
	// ErrReadOnly says that the system is an image that cannot be changed in place.
	ErrReadOnly = errors.New("/usr is read-only")
)

// A NoProgramError names the programs that are missing.
type NoProgramError struct{ Programs []string }

func (e *NoProgramError) Error() string {
	return strings.Join(e.Programs, " and ") + ": " + ErrNoProgram.Error()
}

// Unwrap is [ErrNoProgram].
func (e *NoProgramError) Unwrap() error { return ErrNoProgram }

// Resolve decides what a request leaves open: an existing bridge with DHCP is used as it is, libvirt's first; else our
// own is made, on the first /24 that nothing on the host routes to. What the last setup decided stays. It is pure. It
// refuses what could not work, or would harm: an error has a [netsetup.Failure], or is one of the reasons above.
func Resolve(ask Request, facts Facts) (Spec, error) {
	spec := Spec{Bridge: cmp.Or(ask.Bridge, facts.Previous.Bridge, served(facts), netsetup.OwnBridge), Users: ask.Users}
	if err := checkBridgeName(spec.Bridge); err != nil {
		return Spec{}, err
	}
	if slices.Contains(facts.Links, spec.Bridge) {
		return Spec{}, &netsetup.BridgeError{
			Failure: netsetup.BridgeFailure(spec.Bridge, netsetup.ErrNotBridge, ""), Target: netsetup.Target{Bridge: spec.Bridge}}
	}
	b, there := facts.bridge(spec.Bridge)
	spec.Own = !there || b.DHCP.Kind == netsetup.ServerQlaunch || spec.Bridge == netsetup.OwnBridge || facts.Previous.Own && spec.Bridge == facts.Previous.Bridge
	spec.Forward = spec.Own || b.DHCP.Kind != ""
	spec.Bridges = allowedBefore(facts)
	if !slices.Contains(spec.Bridges, spec.Bridge) {
		spec.Bridges = append(spec.Bridges, spec.Bridge)
	}
	var err error
	if spec.Own {
		spec, err = resolveOwn(spec, ask, facts)
	} else if ask.Subnet.IsValid() || ask.rules() {
		err = fmt.Errorf("bridge %q: %w: it is not qlaunch's, and its subnet, its rules and its names are left to whoever made it", spec.Bridge, ErrRequest)
	}
	if err != nil {
		return Spec{}, err
	}
	return spec, errors.Join(checkUsers(ask.Users, facts), checkHelperPlace(facts), checkMerged(spec, facts))
}

// served is the bridge on which another program of the host serves DHCP, or nothing.
func served(facts Facts) string {
	var bridges []netsetup.Bridge
	for _, b := range facts.Bridges {
		if b.Up && b.DHCP.Kind != "" && !b.DHCP.Dead && b.DHCP.Kind != netsetup.ServerQlaunch && len(b.Uplinks) == 0 {
			bridges = append(bridges, b.Bridge)
		}
	}
	if len(bridges) == 0 {
		return ""
	}
	return netsetup.Preferred(bridges)[0].Name
}

// allowedBefore are the bridges that earlier setups let the helper join.
func allowedBefore(facts Facts) []string {
	var bridges []string
	for line := range strings.Lines(content(facts.States[Item{KindFile, aclInclude}])) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "allow "); ok && checkBridgeName(name) == nil {
			bridges = append(bridges, name)
		}
	}
	return bridges
}

var bridgeName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_.-]*$`)

// checkBridgeName is stricter than the kernel: the name goes into files that root's programs read.
func checkBridgeName(name string) error {
	if len(name) > netsetup.MaxName || !bridgeName.MatchString(name) || name == "all" {
		return fmt.Errorf("bridge %q: %w: must be a letter, then at most %d of letters, digits, '.', '_' and '-', and not \"all\"", name, ErrRequest, netsetup.MaxName-1)
	}
	return nil
}

// resolveOwn decides all that there is to a bridge of our own.
func resolveOwn(spec Spec, ask Request, facts Facts) (Spec, error) {
	if b, ok := facts.bridge(spec.Bridge); ok && len(b.Uplinks) > 0 {
		return spec, fmt.Errorf("bridge %q: %w: %s: DHCP and NAT on it would reach your LAN", spec.Bridge, ErrExposed, strings.Join(b.Uplinks, ", "))
	}
	same := facts.Previous.Own && facts.Previous.Bridge == spec.Bridge
	if facts.Previous.Own && !same {
		return spec, fmt.Errorf("bridge %q: %w: %s is set up already, and there is one bridge of qlaunch's own; `net teardown` comes first",
			spec.Bridge, ErrRequest, facts.Previous.Bridge)
	}
	for _, rule := range []struct {
		asked        *bool
		before, spec *bool
	}{
		{ask.Isolate, &facts.Previous.Isolate, &spec.Isolate},
		{ask.HostAccess, &facts.Previous.HostAccess, &spec.HostAccess},
		{ask.Inbound, &facts.Previous.Inbound, &spec.Inbound},
	} {
		*rule.spec = same && *rule.before
		if rule.asked != nil {
			*rule.spec = *rule.asked
		}
	}
	if spec.Names = ask.Names; ask.Names == nil && same {
		spec.Names = facts.Previous.Names
	}
	err := checkNames(spec.Names)
	if err != nil {
		return spec, err
	}
	switch {
	case ask.Subnet.IsValid():
		spec.Subnet, err = hostIn(ask.Subnet)
	case same:
		spec.Subnet = facts.Previous.Subnet
	default:
		spec.Subnet, err = freeSubnet(spec.Bridge, facts.Routes)
	}
	if err != nil {
		return spec, err
	}
	return spec, errors.Join(checkSubnet(spec, facts), checkPrograms(facts), errors.Join(facts.Taken...))
}

// hostIn is the host's address in a subnet that was asked for: the one given, or the first.
func hostIn(p netip.Prefix) (netip.Prefix, error) {
	if !p.Addr().Is4() || p.Bits() < 8 || p.Bits() > 29 {
		return p, fmt.Errorf("subnet %s: %w: must be IPv4, from /8 to /29", p, ErrRequest)
	}
	for _, special := range notForHosts() {
		if p.Overlaps(special) {
			return p, fmt.Errorf("subnet %s: %w: no host can have an address of %s (RFC 6890)", p, ErrRequest, special)
		}
	}
	if p.Addr() == p.Masked().Addr() {
		return netip.PrefixFrom(p.Addr().Next(), p.Bits()), nil
	}
	if p.Addr() == broadcast(p) {
		return p, fmt.Errorf("subnet %s: %w: its last address is for broadcasts", p, ErrRequest)
	}
	return p, nil
}

// notForHosts are the networks whose addresses a bridge cannot have, or guests cannot: this network, loopback,
// link-local, multicast, and what is reserved behind it.
func notForHosts() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
		netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("240.0.0.0/4")}
}

// freeSubnet is the first /24 to which the host has no route: 192.168.123 to 192.168.254, then 10.123.0 to 10.254.0.
func freeSubnet(bridge string, routes []netsetup.Route) (netip.Prefix, error) {
	for _, base := range []netip.Addr{netip.AddrFrom4([4]byte{192, 168, 0, 1}), netip.AddrFrom4([4]byte{10, 0, 0, 1})} {
		for n := byte(123); n < 255; n++ {
			four := base.As4()
			if four[0] == 192 {
				four[2] = n
			} else {
				four[1] = n
			}
			p := netip.PrefixFrom(netip.AddrFrom4(four), 24)
			if _, taken := netsetup.Overlapping(routes, p, bridge); !taken {
				return p, nil
			}
		}
	}
	return netip.Prefix{}, fmt.Errorf("a subnet for %s: %w: the host has routes to all that were tried; --subnet names one", bridge, ErrSubnetTaken)
}

func checkSubnet(spec Spec, facts Facts) error {
	if r, taken := netsetup.Overlapping(facts.Routes, spec.Subnet, spec.Bridge); taken {
		return fmt.Errorf("subnet %s: %w: the host reaches %s through %s", spec.Subnet.Masked(), ErrSubnetTaken, r.To, r.Dev)
	}
	return nil
}

func checkPrograms(facts Facts) error {
	var missing []string
	for program, path := range map[string]string{"nft": facts.Nft, "dnsmasq": facts.Dnsmasq} {
		if path == "" {
			missing = append(missing, program)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return &NoProgramError{missing}
}

func checkUsers(users []string, facts Facts) error {
	for _, user := range users {
		if !slices.Contains(facts.Users, user) {
			return fmt.Errorf("user %q: %w: no such user on this host", user, ErrRequest)
		}
	}
	return nil
}

// checkHelperPlace refuses a host without the helper, and one where its mode cannot be set.
func checkHelperPlace(facts Facts) error {
	if facts.Helper == "" {
		return netsetup.NoHelper(netsetup.HelperPlaces())
	}
	mode := facts.States[Item{KindMode, facts.Helper}]
	if facts.ReadOnly && !strings.HasPrefix(mode, "4") {
		return fmt.Errorf("bridge helper %s: %w: its mode comes with the system's image, which must have it setuid root", facts.Helper, ErrReadOnly)
	}
	return nil
}

// checkMerged reads the ACL as the helper would with our line in it: a bad line of somebody else's closes every bridge,
// and a line that denies ours beats the one that allows it.
func checkMerged(spec Spec, facts Facts) error {
	item := Item{KindShared, netsetup.DefaultACL}
	if facts.Unseen[item] {
		return nil
	}
	if now := mode(facts.States[item]); ofAnother(now) {
		if bits, _, _, _ := parseMode(now); bits&0o044 == 0 {
			detail := fmt.Sprintf("%s is %s, and what is another group's stays as it is", netsetup.DefaultACL, now)
			return &netsetup.ACLError{Failure: netsetup.BridgeFailure(spec.Bridge, netsetup.ErrACLUnreadable, detail),
				Target: netsetup.Target{Bridge: spec.Bridge}, File: netsetup.DefaultACL}
		}
	}
	return netsetup.CheckACL([]byte(content(withInclude(facts.States[item]))), spec.Bridge)
}

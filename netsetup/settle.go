package netsetup

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// A Request is what root asks of `net setup`. What is zero is left to [Settle].
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

// The reasons for which setup refuses, beside those of an [Error].
var (
	// ErrRequest says that the request itself makes no sense.
	ErrRequest = errors.New("refused")
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

// Settle decides what a request leaves open: an existing bridge with DHCP is used as it is, libvirt's first; else our own
// is made, on the first /24 that nothing on the host routes to. What the last setup settled stays. It is pure. It refuses
// what could not work, or would harm: an error is an [*Error], or one of the reasons above.
func Settle(ask Request, have Host) (Want, error) {
	want := Want{Bridge: cmp.Or(ask.Bridge, have.Previous.Bridge, served(have), OwnBridge), Users: ask.Users}
	if err := checkBridgeName(want.Bridge); err != nil {
		return Want{}, err
	}
	if slices.Contains(have.Links, want.Bridge) {
		return Want{}, &Error{What: fmt.Sprintf("bridge %q", want.Bridge), Cause: ErrNotBridge, Bridge: want.Bridge}
	}
	b, there := have.bridge(want.Bridge)
	want.Own = !there || b.DHCP.Kind == ServerQlaunch || want.Bridge == OwnBridge || have.Previous.Own && want.Bridge == have.Previous.Bridge
	want.Forward = want.Own || b.DHCP.Kind != ""
	want.Bridges = allowedBefore(have)
	if !slices.Contains(want.Bridges, want.Bridge) {
		want.Bridges = append(want.Bridges, want.Bridge)
	}
	var err error
	if want.Own {
		want, err = settleOwn(want, ask, have)
	} else if ask.Subnet.IsValid() || ask.rules() {
		err = fmt.Errorf("bridge %q: %w: it is not qlaunch's, and its subnet, its rules and its names are left to whoever made it", want.Bridge, ErrRequest)
	}
	if err != nil {
		return Want{}, err
	}
	return want, errors.Join(checkUsers(ask.Users, have), checkHelperPlace(have), checkMerged(want, have))
}

// served is the bridge on which another program of the host serves DHCP, or nothing.
func served(have Host) string {
	var bridges []Bridge
	for _, b := range have.Bridges {
		if b.Up && b.DHCP.Kind != "" && !b.DHCP.Dead && b.DHCP.Kind != ServerQlaunch && len(b.Uplinks) == 0 {
			bridges = append(bridges, b.Bridge)
		}
	}
	if len(bridges) == 0 {
		return ""
	}
	return preferred(bridges)[0].Name
}

// allowedBefore are the bridges that earlier setups let the helper join.
func allowedBefore(have Host) []string {
	var bridges []string
	for line := range strings.Lines(content(have.States[Item{KindFile, ACLInclude}])) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "allow "); ok && checkBridgeName(name) == nil {
			bridges = append(bridges, name)
		}
	}
	return bridges
}

var bridgeName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_.-]*$`)

// checkBridgeName is stricter than the kernel: the name goes into files that root's programs read.
func checkBridgeName(name string) error {
	if len(name) > MaxName || !bridgeName.MatchString(name) || name == "all" {
		return fmt.Errorf("bridge %q: %w: must be a letter, then at most %d of letters, digits, '.', '_' and '-', and not \"all\"", name, ErrRequest, MaxName-1)
	}
	return nil
}

// settleOwn settles what there is to a bridge of our own.
func settleOwn(want Want, ask Request, have Host) (Want, error) {
	if b, ok := have.bridge(want.Bridge); ok && len(b.Uplinks) > 0 {
		return want, fmt.Errorf("bridge %q: %w: %s: DHCP and NAT on it would reach your LAN", want.Bridge, ErrExposed, strings.Join(b.Uplinks, ", "))
	}
	same := have.Previous.Own && have.Previous.Bridge == want.Bridge
	if have.Previous.Own && !same {
		return want, fmt.Errorf("bridge %q: %w: %s is set up already, and there is one bridge of qlaunch's own; `net teardown` comes first",
			want.Bridge, ErrRequest, have.Previous.Bridge)
	}
	for _, rule := range []struct {
		asked        *bool
		before, want *bool
	}{
		{ask.Isolate, &have.Previous.Isolate, &want.Isolate},
		{ask.HostAccess, &have.Previous.HostAccess, &want.HostAccess},
		{ask.Inbound, &have.Previous.Inbound, &want.Inbound},
	} {
		*rule.want = same && *rule.before
		if rule.asked != nil {
			*rule.want = *rule.asked
		}
	}
	if want.Names = ask.Names; ask.Names == nil && same {
		want.Names = have.Previous.Names
	}
	err := checkNames(want.Names)
	if err != nil {
		return want, err
	}
	switch {
	case ask.Subnet.IsValid():
		want.Subnet, err = hostIn(ask.Subnet)
	case same:
		want.Subnet = have.Previous.Subnet
	default:
		want.Subnet, err = freeSubnet(want.Bridge, have.Routes)
	}
	if err != nil {
		return want, err
	}
	return want, errors.Join(checkSubnet(want, have), checkPrograms(have), errors.Join(have.Taken...))
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

// notForHosts are the networks whose addresses a bridge cannot have, or guests cannot: this network, loopback, link-local,
// multicast, and what is reserved behind it.
func notForHosts() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
		netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("240.0.0.0/4")}
}

// freeSubnet is the first /24 to which the host has no route: 192.168.123 to 192.168.254, then 10.123.0 to 10.254.0.
func freeSubnet(bridge string, routes []Route) (netip.Prefix, error) {
	for _, base := range []netip.Addr{netip.AddrFrom4([4]byte{192, 168, 0, 1}), netip.AddrFrom4([4]byte{10, 0, 0, 1})} {
		for n := byte(123); n < 255; n++ {
			four := base.As4()
			if four[0] == 192 {
				four[2] = n
			} else {
				four[1] = n
			}
			p := netip.PrefixFrom(netip.AddrFrom4(four), 24)
			if _, taken := takenBy(p, bridge, routes); !taken {
				return p, nil
			}
		}
	}
	return netip.Prefix{}, fmt.Errorf("a subnet for %s: %w: the host has routes to all that were tried; --subnet names one", bridge, ErrSubnetTaken)
}

// takenBy is the route of another link that overlaps with a subnet. A default route overlaps with everything, and does not count.
func takenBy(p netip.Prefix, bridge string, routes []Route) (Route, bool) {
	for _, r := range routes {
		if r.Dev != bridge && !r.isDefault() && r.To.Overlaps(p) {
			return r, true
		}
	}
	return Route{}, false
}

func checkSubnet(want Want, have Host) error {
	if r, taken := takenBy(want.Subnet, want.Bridge, have.Routes); taken {
		return fmt.Errorf("subnet %s: %w: the host reaches %s through %s", want.Subnet.Masked(), ErrSubnetTaken, r.To, r.Dev)
	}
	return nil
}

func checkPrograms(have Host) error {
	var missing []string
	for program, path := range map[string]string{"nft": have.Nft, "dnsmasq": have.Dnsmasq} {
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

func checkUsers(users []string, have Host) error {
	for _, user := range users {
		if !slices.Contains(have.Users, user) {
			return fmt.Errorf("user %q: %w: no such user on this host", user, ErrRequest)
		}
	}
	return nil
}

// checkHelperPlace refuses a host without the helper, and one where its mode cannot be set.
func checkHelperPlace(have Host) error {
	if have.Helper == "" {
		return noHelper(HelperPlaces())
	}
	mode := have.States[Item{KindMode, have.Helper}]
	if have.ReadOnly && !strings.HasPrefix(mode, "4") {
		return fmt.Errorf("bridge helper %s: %w: its mode comes with the system's image, which must have it setuid root", have.Helper, ErrReadOnly)
	}
	return nil
}

// checkMerged reads the ACL as the helper would with our line in it: a bad line of somebody else's closes every bridge,
// and a line that denies ours beats the one that allows it.
func checkMerged(want Want, have Host) error {
	item := Item{KindShared, DefaultACL}
	if have.Unseen[item] {
		return nil
	}
	if now := mode(have.States[item]); ofAnother(now) {
		if bits, _, _, _ := parseMode(now); bits&0o044 == 0 {
			return &Error{What: fmt.Sprintf("bridge %q", want.Bridge), Cause: ErrACLUnreadable, Bridge: want.Bridge, File: DefaultACL,
				Detail: fmt.Sprintf("%s is %s, and what is another group's stays as it is", DefaultACL, now)}
		}
	}
	rules, bad := parseACL(DefaultACL, []byte(content(withInclude(have.States[item]))))
	if bad != nil {
		return forBridge(bad, want.Bridge)
	}
	if v := judge(rules, want.Bridge); v.Rule != "" {
		return v.Err()
	}
	return nil
}

package lease

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

// judged is the report on the lease file of a scene, with more of the kernel's tables.
func judged(s scene, q Query, more func(*view)) Report {
	v := s.view()
	if more != nil {
		more(&v)
	}
	return judge(q, v, s.base)[0]
}

var (
	guestIP  = netip.MustParseAddr("192.168.122.62")
	otherMAC = net.HardwareAddr{0x52, 0x54, 0x00, 0x99, 0x99, 0x99}
)

func TestWhoHasTheAddressOfALease(t *testing.T) {
	const lasting, ended = "1795437000", "1795433400" // 12:30 and 11:30
	none := net.HardwareAddr(nil)
	for _, c := range []struct {
		what     string
		ends     string
		holding  *holding
		answered bool
		want     string
		holder   string
	}{
		{"nobody is known to have it", lasting, nil, false, "lease", ""},
		{"the guest has it", lasting, &holding{guestMAC, netlink.NUD_REACHABLE}, false, "lease", ""},
		{"another has it", lasting, &holding{otherMAC, netlink.NUD_REACHABLE}, false, "refused, 52:54:00:99:99:99 has it", ""},
		{"another has it for good", lasting, &holding{otherMAC, netlink.NUD_PERMANENT}, false, "refused, 52:54:00:99:99:99 has it", ""},
		{"another had it", lasting, &holding{otherMAC, netlink.NUD_STALE}, false, "lease, and 52:54:00:99:99:99 was seen there", otherMAC.String()},
		{"another had it and answers", lasting, &holding{otherMAC, netlink.NUD_STALE}, true, "refused, 52:54:00:99:99:99 has it", ""},
		{"nobody answers", lasting, &holding{none, netlink.NUD_FAILED}, false, "lease, FAILED", ""},
		{"it is being asked for", lasting, &holding{none, netlink.NUD_INCOMPLETE}, false, "lease, INCOMPLETE", ""},
		{"the guest had it and does not answer", lasting, &holding{guestMAC, netlink.NUD_FAILED}, false, "lease, FAILED", ""},
		{"expired", ended, nil, false, "refused, expired, and not confirmed", ""},
		{"expired, and nobody answers", ended, &holding{none, netlink.NUD_FAILED}, false, "refused, expired, and nobody answers", ""},
		{"expired, and being asked for", ended, &holding{none, netlink.NUD_INCOMPLETE}, false, "refused, expired, and not confirmed", ""},
		{"expired, and another has it", ended, &holding{otherMAC, netlink.NUD_REACHABLE}, false, "refused, expired, and not confirmed", otherMAC.String()},
	} {
		s := scene{file: c.ends + " 52:54:00:53:52:b1 192.168.122.62 guestvm *\n", modified: at("11:00:00")}
		got := judged(s, s.query(), func(v *view) {
			if c.holding != nil {
				v.holdings = map[netip.Addr]holding{guestIP: *c.holding}
			}
			v.answered = map[netip.Addr]bool{guestIP: c.answered}
		})
		if diff := cmp.Diff("192.168.122.62: "+c.want, got.Verdict); diff != "" || got.Addresses[0].Holder != c.holder || !got.Readable || !got.Matched {
			t.Errorf("%s: %+v %s", c.what, got, diff)
		}
	}
	s := scene{file: lasting + " 52:54:00:53:52:b1 192.168.122.62 guestvm *\n", modified: at("11:00:00")}
	q := s.query()
	q.OtherMACs = []net.HardwareAddr{otherMAC}
	if got := judged(s, q, func(v *view) { v.holdings = map[netip.Addr]holding{guestIP: {otherMAC, netlink.NUD_REACHABLE}} }); got.Verdict != "192.168.122.62: lease" {
		t.Errorf("the guest's other NIC has it: %s", got.Verdict)
	}
}

func TestAnExpiredLeaseCountsWhereTheGuestIsSeen(t *testing.T) {
	for _, c := range []struct {
		what      string
		state     int
		confirmed string
		answered  bool
		want      string
	}{
		{"the kernel is sure", netlink.NUD_REACHABLE, "11:00:00", false, "lease, expired, REACHABLE"},
		{"it was seen after the end", netlink.NUD_STALE, "11:45:00", false, "lease, expired, STALE"},
		{"it was seen before the end alone", netlink.NUD_STALE, "11:00:00", false, "refused, expired, and not confirmed"},
		{"it answers", netlink.NUD_STALE, "11:00:00", true, "lease, expired, STALE"},
	} {
		s := scene{
			file: "1795433400 52:54:00:53:52:b1 192.168.122.62 guestvm *\n", modified: at("11:00:00"),
			neighbours: []neighbour{{ip: guestIP, state: c.state, confirmed: at(c.confirmed)}},
		}
		got := judged(s, s.query(), func(v *view) { v.answered = map[netip.Addr]bool{guestIP: c.answered} })
		if diff := cmp.Diff("192.168.122.62: "+c.want, got.Verdict); diff != "" {
			t.Errorf("%s: %s", c.what, diff)
		}
		if a := got.Addresses[0]; (a.Refused == "") != strings.HasPrefix(c.want, "lease") {
			t.Errorf("%s: %+v", c.what, a)
		}
	}
}

func TestALeaseInUseSinceTheStartIsOfThisStart(t *testing.T) {
	for confirmed, want := range map[string]Freshness{"11:58:00": ThisStart, "11:50:00": Unknown} {
		s := scene{
			since: at("11:55:00"), file: "1795437000 52:54:00:53:52:b1 192.168.122.62 guestvm *\n", modified: at("11:56:00"),
			neighbours: []neighbour{{ip: guestIP, state: netlink.NUD_STALE, confirmed: at(confirmed)}},
		}
		if got := judged(s, s.query(), nil).Addresses[0]; got.Freshness != want || got.Live != (want == ThisStart) {
			t.Errorf("seen at %s: %+v", confirmed, got)
		}
	}
}

func TestWhatTheRoutesSayOfAnAddress(t *testing.T) {
	to := netip.MustParsePrefix("10.77.1.0/24")
	for _, c := range []struct {
		ip   string
		way  way
		want string
	}{
		{"10.77.1.62", way{known: true, onLink: true, to: to}, ""},
		{"10.77.1.0", way{known: true, onLink: true, to: to}, "not a host's address in 10.77.1.0/24"},
		{"10.77.1.255", way{known: true, onLink: true, to: to}, "not a host's address in 10.77.1.0/24"},
		{"10.77.1.9", way{known: true, group: true, to: to}, "not a host's address in 10.77.1.0/24"},
		{"10.77.1.9", way{known: true, local: true, to: to}, "an address of this host's"},
		{"10.77.1.9", way{known: true, foreign: "lan0", to: to}, "in 10.77.1.0/24, which is on lan0"},
		{"10.77.1.0", way{known: true, to: to}, "outside the bridge's 192.168.122.0/24"}, // a default route
		{"10.77.1.9", way{}, "outside the bridge's 192.168.122.0/24"},
		{"192.168.122.62", way{known: true, foreign: "lan0", to: netip.MustParsePrefix("192.168.122.0/25")}, "in 192.168.122.0/25, which is on lan0"},
		{"fe80::9", way{known: true, local: true}, ""},
	} {
		if got := refusal(netip.MustParseAddr(c.ip), virbr0, c.way); got != c.want {
			t.Errorf("%s, %+v: %q, want %q", c.ip, c.way, got, c.want)
		}
	}
}

// A subnet of two has no name and no broadcast address, one of four has both.
func TestTheEdgesOfASubnet(t *testing.T) {
	for text, want := range map[string][4]bool{
		"10.0.0.0/30": {true, false, false, true}, "10.0.0.0/31": {}, "10.0.0.0/29": {true, false, false, false},
	} {
		subnet := netip.MustParsePrefix(text)
		ip := subnet.Addr()
		for i, edge := range want {
			if subnet.Contains(ip) && isEdge(ip, subnet) != edge {
				t.Errorf("%s in %s (%d): %v", ip, text, i, !edge)
			}
			ip = ip.Next()
		}
	}
}

func TestWhatIsAskedOfTheGuestItself(t *testing.T) {
	linkLocal := netip.MustParseAddr("fe80::1")
	for _, c := range []struct {
		what string
		a    Address
		want bool
	}{
		{"nothing is in doubt", Address{IP: guestIP, Freshness: ThisStart}, false},
		{"nothing tells", Address{IP: guestIP, Freshness: Unknown}, false},
		{"of before", Address{IP: guestIP, Freshness: Older}, true},
		{"of before, and in use", Address{IP: guestIP, Freshness: Older, Live: true}, false},
		{"new, and in use", Address{IP: guestIP, Freshness: ThisStart, Live: true}, false},
		{"another had it", Address{IP: guestIP, Freshness: ThisStart, Holder: "x"}, true},
		{"expired", Address{IP: guestIP, Refused: unconfirmed}, true},
		{"refused for good", Address{IP: guestIP, Refused: "no address", Freshness: Older, Holder: "x"}, false},
		{"link-local", Address{IP: linkLocal, Freshness: Older}, false},
	} {
		if got := c.a.askable(); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

// A table of the kernel's that cannot be read is no table that is empty.
func TestATableThatCannotBeReadIsSaid(t *testing.T) {
	s := scene{neighbours: []neighbour{{ip: guestIP, state: netlink.NUD_REACHABLE, confirmed: noon}}, sighting: sighting{"vnet0", at("11:59:30")}}
	v := s.view()
	good := judge(s.query(), v, nil)
	if n, f := good[1], good[2]; !n.Readable || !n.Matched || !f.Readable || !f.Matched || f.Modified != at("11:59:30") || f.Age != 30*time.Second || len(good) != 3 {
		t.Errorf("%+v", good)
	}
	v.sighting.last = noon.Add(time.Minute)
	if f := judge(s.query(), v, nil)[2]; f.Age != 0 {
		t.Errorf("of a clock that was put back: %v", f.Age)
	}
	v.kernel.neighbourErr, v.kernel.sightedErr = errors.New("no"), errors.New("no")
	for _, r := range judge(s.query(), v, nil)[1:] {
		if r.Readable || r.Matched || len(r.Addresses) > 0 || r.Reason == "" || r.Verdict != "not asked: "+r.Reason {
			t.Errorf("%+v", r)
		}
	}
}

func TestTheZoneOfAnAddress(t *testing.T) {
	for text, want := range map[string]string{"fe80::9": "fe80::9%virbr0", "fd00::9": "fd00::9", "169.254.7.7": "169.254.7.7", "192.168.122.62": "192.168.122.62"} {
		if got := zoned(netip.MustParseAddr(text), virbr0).String(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestTheBestAddressIsTheFirstThatIsNotRefused(t *testing.T) {
	reports := []Report{{Addresses: []Address{
		{IP: netip.MustParseAddr("192.168.122.9"), Source: Dnsmasq, Freshness: ThisStart, Refused: "no address"},
		{IP: netip.MustParseAddr("192.168.122.8"), Source: Dnsmasq, Freshness: Older},
		{IP: guestIP, Source: Dnsmasq, Freshness: ThisStart},
	}}}
	if a, ok := Best(reports); !ok || a.IP != guestIP || a.Freshness != ThisStart {
		t.Errorf("%+v, %v", a, ok)
	}
}

// What another MAC was seen at, and what holds on one link alone, come behind everything else.
func TestWhatIsDoubtfulIsBelievedLast(t *testing.T) {
	ip := func(last byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 168, 122, last}) }
	inOrder := []Address{
		{IP: ip(1), Source: Dnsmasq, Freshness: Older},
		{IP: ip(2), Source: Agent},
		{IP: ip(3), Source: Dnsmasq, Freshness: ThisStart, Neighbour: "FAILED"},
		{IP: ip(4), Source: Neighbours, Neighbour: "REACHABLE"},
		{IP: ip(5), Source: Neighbours, Neighbour: "STALE"},
		{IP: ip(6), Source: Dnsmasq, Freshness: ThisStart, Live: true, Holder: "x"},
		{IP: netip.MustParseAddr("169.254.7.7"), Source: Dnsmasq, Freshness: ThisStart, Live: true},
	}
	for i, a := range inOrder {
		for j, b := range inOrder {
			if got, want := compare(a, b) < 0, i < j; got != want {
				t.Errorf("%v before %v: %v", a.IP, b.IP, got)
			}
		}
	}
	if told := describe(Address{IP: guestIP, Source: Agent}); told != "192.168.122.62: told by the guest" {
		t.Error(told)
	}
}

func TestAFileWithoutATimeHasNoAge(t *testing.T) {
	s := scene{err: errors.New("no")}
	if got := judged(s, s.query(), nil); got.Age != 0 || got.Readable {
		t.Errorf("%+v", got)
	}
}

// The host has IPv4 alone on its bridge, and a default route for IPv6 elsewhere: a guest's own word chooses no host out there.
func TestAnAddressThatGoesElsewhereIsRefused(t *testing.T) {
	v4 := link{name: "virbr0", own: []netip.Prefix{netip.MustParsePrefix("192.168.122.1/24"), netip.MustParsePrefix("fe80::1/64")}}
	bare := link{name: "br0", own: []netip.Prefix{netip.MustParsePrefix("fe80::1/64")}}
	away := way{known: true, link: "eth9", to: netip.MustParsePrefix("::/0")}
	for _, c := range []struct {
		bridge link
		way    way
		want   string
	}{
		{v4, away, "sent to eth9 by this host"},
		{v4, way{}, ""}, // it goes nowhere: whoever tries finds that out
		{bare, away, ""},
	} {
		if got := refusal(netip.MustParseAddr("2001:db8::1"), c.bridge, c.way); got != c.want {
			t.Errorf("%+v: %q, want %q", c, got, c.want)
		}
	}
}

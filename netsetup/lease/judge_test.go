package lease

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

var (
	guestMAC = net.HardwareAddr{0x52, 0x54, 0x00, 0x53, 0x52, 0xb1}
	virbr0   = link{index: 1 << 20, name: "virbr0", own: []netip.Prefix{
		netip.MustParsePrefix("192.168.122.1/24"), netip.MustParsePrefix("fe80::5054:ff:fe00:1/64"),
	}}
	noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

// at is a time of the day that the tables are about, such as 12:00:05.
func at(clock string) time.Time {
	t, err := time.Parse(time.DateTime, "2026-11-23 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

func TestAnAddressThatNoGuestOnTheBridgeCanHaveIsRefused(t *testing.T) {
	lan := link{name: "br0"}
	both := link{name: "br1", own: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.1/31"), netip.MustParsePrefix("172.16.0.1/16"), netip.MustParsePrefix("fd00::1/64"),
	}}
	tests := []struct {
		ip     string
		bridge link
		want   string
	}{
		{"192.168.122.62", virbr0, ""},
		{"192.168.122.1", virbr0, "the bridge's own address"},
		{"192.168.122.0", virbr0, "not a host's address in 192.168.122.0/24"},
		{"192.168.122.255", virbr0, "not a host's address in 192.168.122.0/24"},
		{"192.168.123.62", virbr0, "outside the bridge's 192.168.122.0/24"},
		{"127.0.0.1", virbr0, "a loopback address"},
		{"::1", virbr0, "a loopback address"},
		{"0.0.0.0", virbr0, "no address"},
		{"0.0.0.7", virbr0, "no address"},
		{"::", virbr0, "no address"},
		{"224.0.0.251", virbr0, "a multicast address"},
		{"ff02::1", virbr0, "a multicast address"},
		{"255.255.255.255", virbr0, "the broadcast address"},
		{"fe80::1", virbr0, ""},
		{"169.254.7.7", virbr0, ""},
		{"2001:db8::1", virbr0, ""},
		{"8.8.8.8", lan, ""},
		{"10.0.0.0", both, ""},
		{"172.16.255.255", both, "not a host's address in 172.16.0.0/16"},
		{"8.8.8.8", both, "outside the bridge's 10.0.0.0/31, 172.16.0.0/16"},
		{"fd01::1", both, "outside the bridge's fd00::/64"},
		{"fd00::", both, ""},
	}
	for _, test := range tests {
		if got := refusal(netip.MustParseAddr(test.ip), test.bridge, way{}); got != test.want {
			t.Errorf("%s on %s: %q, want %q", test.ip, test.bridge.name, got, test.want)
		}
	}
}

// scene is what the sources held; its text is what `ip --explain` would make of it.
type scene struct {
	since      time.Time
	base       *baseline
	file       string // dnsmasq's
	modified   time.Time
	err        error
	neighbours []neighbour
	sighting   sighting
}

func (s scene) query() Query {
	return Query{Root: "/", Bridge: "virbr0", MAC: guestMAC, Since: s.since}
}

func (s scene) view() view {
	p, err := parseDnsmasq([]byte(s.file))
	r := reading{file: file{source: Dnsmasq, path: "FILE"}, parsed: p, modified: s.modified, err: errors.Join(err, s.err)}
	if s.err != nil {
		r.err = s.err
	}
	return view{
		at: noon, link: virbr0, files: []reading{r}, neighbours: s.neighbours, sighting: s.sighting,
		kernel: kernelView{neighbours: len(s.neighbours)},
	}
}

func TestEverySourceIsExplainedInWords(t *testing.T) {
	const ours = "1795437000 52:54:00:53:52:b1 192.168.122.62 guestvm *\n" // ends at 12:30
	entry := func(ip string, state int, confirmed string) neighbour {
		return neighbour{ip: netip.MustParseAddr(ip), state: state, confirmed: at(confirmed)}
	}
	fresh := func(ip, made string) neighbour { // an entry that is as it was made
		return neighbour{netip.MustParseAddr(ip), netlink.NUD_STALE, at(made).Add(-time.Minute), at(made)}
	}
	base := func(s scene) *baseline {
		b := newBaseline(s.view())
		b.at = at("11:50:00")
		return b
	}
	tests := []struct {
		name  string
		scene scene
		want  string
	}{
		{"nothing anywhere", scene{}, `
no lease for 52:54:00:53:52:b1
no entry for 52:54:00:53:52:b1
no frames from 52:54:00:53:52:b1
none
`},
		{"the file can not be read", scene{err: &fs.PathError{Op: "open", Path: "FILE", Err: errors.New("permission denied")}}, `
not asked: permission denied
no entry for 52:54:00:53:52:b1
no frames from 52:54:00:53:52:b1
none
`},
		{"the file is not there", scene{err: &fs.PathError{Op: "open", Path: "FILE", Err: fs.ErrNotExist}}, `
not asked: absent
no entry for 52:54:00:53:52:b1
no frames from 52:54:00:53:52:b1
none
`},
		{"only others' leases, and junk", scene{file: "1795437000 52:54:00:00:00:07 192.168.122.7 * *\njunk\n"}, `
no lease for 52:54:00:53:52:b1 (1 unreadable entries skipped)
no entry for 52:54:00:53:52:b1
no frames from 52:54:00:53:52:b1
none
`},
		{"a lease, and the start is not known", scene{file: ours, modified: at("11:30:00")}, `
192.168.122.62: lease
no entry for 52:54:00:53:52:b1
no frames from 52:54:00:53:52:b1
192.168.122.62 dnsmasq unknown
`},
		{"a file older than the start", scene{file: ours, modified: at("11:30:00"), since: at("11:50:00")}, `
192.168.122.62: lease from before this start
no entry for 52:54:00:53:52:b1
no frames from 52:54:00:53:52:b1
192.168.122.62 dnsmasq older
`},
		{"a file older than the start, and the guest uses the address", scene{
			file: ours, modified: at("11:30:00"), since: at("11:50:00"),
			neighbours: []neighbour{entry("192.168.122.62", netlink.NUD_REACHABLE, "11:59:00")},
		}, `
192.168.122.62: lease from before this start, REACHABLE
192.168.122.62: seen by the kernel since this start, REACHABLE
no frames from 52:54:00:53:52:b1
192.168.122.62 dnsmasq older live
`},
		{"a file written since the start, by whichever guest", scene{file: ours, modified: at("11:55:00"), since: at("11:50:00")}, `
192.168.122.62: lease
no entry for 52:54:00:53:52:b1
no frames from 52:54:00:53:52:b1
192.168.122.62 dnsmasq unknown
`},
		{"a start that lies ahead, since the clock was set back", scene{
			file: ours, modified: at("11:30:00"), since: at("13:50:00"),
			neighbours: []neighbour{entry("192.168.122.9", netlink.NUD_STALE, "11:00:00")},
		}, `
192.168.122.62: lease
192.168.122.9: seen by the kernel, STALE
no frames from 52:54:00:53:52:b1
192.168.122.62 dnsmasq unknown, 192.168.122.9 neighbours unknown
`},
		{"a lease that the baseline has", scene{file: ours, base: base(scene{file: ours})}, `
192.168.122.62: lease from before this start
no entry for 52:54:00:53:52:b1
no frames from 52:54:00:53:52:b1
192.168.122.62 dnsmasq older
`},
		{"a lease that was given anew", scene{
			file: ours, base: base(scene{file: "1795436000 52:54:00:53:52:b1 192.168.122.62 guestvm *\n"}),
		}, `
192.168.122.62: lease since this start
no entry for 52:54:00:53:52:b1
no frames from 52:54:00:53:52:b1
192.168.122.62 dnsmasq this start
`},
		{"a new address in an old file", scene{
			file: ours + "0 52:54:00:53:52:b1 192.168.122.63 * *\n",
			base: base(scene{file: "0 52:54:00:53:52:b1 192.168.122.63 * *\n"}),
		}, `
192.168.122.63: lease from before this start; 192.168.122.62: lease since this start
no entry for 52:54:00:53:52:b1
no frames from 52:54:00:53:52:b1
192.168.122.62 dnsmasq this start, 192.168.122.63 dnsmasq older
`},
		{"two leases, and the shorter one is in use", scene{
			file:       ours + "1795438000 52:54:00:53:52:b1 192.168.122.63 * *\n",
			neighbours: []neighbour{entry("192.168.122.62", netlink.NUD_REACHABLE, "11:59:00")},
		}, `
192.168.122.63: lease; 192.168.122.62: lease, REACHABLE
192.168.122.62: seen by the kernel, REACHABLE
no frames from 52:54:00:53:52:b1
192.168.122.62 dnsmasq unknown live, 192.168.122.63 dnsmasq unknown
`},
		{"leases that are no use", scene{file: `1795430000 52:54:00:53:52:b1 192.168.122.62 * *
1795437000 52:54:00:53:52:b1 192.168.122.1 * *
1795437000 52:54:00:53:52:b1 10.9.9.9 * *
`}, `
192.168.122.1: refused, the bridge's own address; 10.9.9.9: refused, outside the bridge's 192.168.122.0/24; 192.168.122.62: refused, expired, and not confirmed
no entry for 52:54:00:53:52:b1
no frames from 52:54:00:53:52:b1
none
`},
		{"a guest with a fixed address", scene{
			since: at("11:50:00"), neighbours: []neighbour{
				entry("fe80::5054:ff:fe53:52b1", netlink.NUD_REACHABLE, "11:59:00"),
				entry("192.168.122.9", netlink.NUD_STALE, "11:00:00"),
				entry("192.168.122.8", netlink.NUD_STALE, "11:50:30"),
			},
			sighting: sighting{"tap0", at("11:59:30")},
		}, `
no lease for 52:54:00:53:52:b1
fe80::5054:ff:fe53:52b1%virbr0: seen by the kernel since this start, REACHABLE; 192.168.122.9: seen by the kernel, not confirmed since this start, STALE; 192.168.122.8: seen by the kernel since this start, STALE
frames from 52:54:00:53:52:b1 on tap0
192.168.122.8 neighbours this start live, 192.168.122.9 neighbours older, fe80::5054:ff:fe53:52b1%virbr0 neighbours this start live
`},
		{"a guest that has just been started, and asks", scene{
			since: at("11:59:50"), neighbours: []neighbour{
				entry("192.168.122.9", netlink.NUD_STALE, "11:59:45"), fresh("192.168.122.8", "11:59:40"), fresh("192.168.122.7", "11:59:55"),
			},
			sighting: sighting{"tap0", at("11:59:55")},
		}, `
no lease for 52:54:00:53:52:b1
192.168.122.9: seen by the kernel, not confirmed since this start, STALE; 192.168.122.8: seen by the kernel, not confirmed since this start, STALE; 192.168.122.7: seen by the kernel since this start, STALE
frames from 52:54:00:53:52:b1 on tap0
192.168.122.7 neighbours this start live, 192.168.122.9 neighbours older, 192.168.122.8 neighbours older
`},
		{"frames of the last start", scene{since: at("11:50:00"), sighting: sighting{"tap0", at("11:49:00")}}, `
no lease for 52:54:00:53:52:b1
no entry for 52:54:00:53:52:b1
frames from 52:54:00:53:52:b1 on tap0, none since the start
none
`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			reports := judge(test.scene.query(), test.scene.view(), test.scene.base)
			var b strings.Builder
			for _, r := range reports {
				fmt.Fprintln(&b, r.Verdict)
			}
			fmt.Fprintln(&b, brief(All(reports)))
			if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func brief(all []Address) string {
	var words []string
	for _, a := range all {
		s := fmt.Sprint(a.IP, " ", a.Source, " ", a.Freshness)
		if a.Live {
			s += " live"
		}
		words = append(words, s)
	}
	if words == nil {
		return "none"
	}
	return strings.Join(words, ", ")
}

func TestTheLikeliestAddressStandsFirst(t *testing.T) {
	ip := func(last byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 168, 122, last}) }
	linkLocal := netip.MustParseAddr("fe80::1%virbr0")
	global := netip.MustParseAddr("fd00::1")
	inOrder := []Address{
		{IP: ip(1), Source: Libvirt, Freshness: ThisStart, Expiry: noon},
		{IP: global, Source: Libvirt, Freshness: ThisStart},
		{IP: ip(2), Source: Dnsmasq, Freshness: Older, Live: true},
		{IP: ip(3), Source: Dnsmasq, Freshness: Unknown, Live: true, Expiry: noon},
		{IP: ip(4), Source: Dnsmasq, Freshness: Unknown},
		{IP: ip(5), Source: Dnsmasq, Freshness: Older},
		{IP: ip(6), Source: Dnsmasq, Freshness: Older, Expiry: noon.Add(time.Hour)},
		{IP: ip(7), Source: Dnsmasq, Freshness: Older, Expiry: noon},
		{IP: ip(8), Source: Neighbours, Freshness: ThisStart, Live: true, Neighbour: "STALE"},
		{IP: ip(9), Source: Neighbours, Freshness: Older, Neighbour: "REACHABLE"},
		{IP: ip(10), Source: Neighbours, Freshness: Older, Neighbour: "STALE"},
		{IP: linkLocal, Source: Neighbours, Freshness: ThisStart, Live: true, Neighbour: "REACHABLE"},
	}
	for i, a := range inOrder {
		for j, b := range inOrder {
			if got, want := compare(a, b) < 0, i < j; got != want {
				t.Errorf("%v before %v: %v", a.IP, b.IP, got)
			}
		}
	}
	if a, ok := Best([]Report{{Addresses: inOrder[len(inOrder)-1:]}}); ok {
		t.Errorf("a link-local address is the best: %v", a)
	}
	if _, ok := Best(nil); ok {
		t.Error("no reports have a best address")
	}
	twice := []Report{{Addresses: []Address{inOrder[5]}}, {Addresses: []Address{{IP: ip(5), Source: Neighbours}}}}
	if diff := cmp.Diff("192.168.122.5 dnsmasq older", brief(All(twice))); diff != "" {
		t.Error(diff)
	}
}

func TestTheWaiterBelievesOnlyWhatIsOfThisStart(t *testing.T) {
	ip := netip.MustParseAddr("192.168.122.62")
	tests := []struct {
		name    string
		address Address
		sends   bool
		want    acceptance
	}{
		{"a new lease", Address{IP: ip, Source: Dnsmasq, Freshness: ThisStart, Expiry: noon}, false, now},
		{"a lease that may be new, of a guest that runs", Address{IP: ip, Source: Dnsmasq, Freshness: Unknown}, false, now},
		{"an old lease", Address{IP: ip, Source: Dnsmasq, Freshness: Older, Expiry: noon}, true, never},
		{"an old lease in use", Address{IP: ip, Source: Dnsmasq, Freshness: Older, Expiry: noon, Live: true}, true, later},
		{"an old lease without end", Address{IP: ip, Source: Dnsmasq, Freshness: Older}, false, never},
		{"an old lease without end, of a guest that sends", Address{IP: ip, Source: Dnsmasq, Freshness: Older}, true, later},
		{"an old lease without end, in use", Address{IP: ip, Source: Dnsmasq, Freshness: Older, Live: true}, true, now},
		{"a new IPv6 lease", Address{IP: netip.MustParseAddr("fd00::1"), Source: Dnsmasq, Freshness: ThisStart}, true, later},
		{"a neighbour", Address{IP: ip, Source: Neighbours, Freshness: ThisStart, Live: true}, true, later},
		{"an old neighbour", Address{IP: ip, Source: Neighbours, Freshness: Older}, true, never},
		{"a link-local neighbour", Address{IP: netip.MustParseAddr("fe80::1"), Source: Neighbours, Live: true}, true, never},
	}
	for _, test := range tests {
		if got := accept(test.address, test.sends); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

func TestAnAddressIsTakenFromFurtherDownWhenTheFirstIsOld(t *testing.T) {
	old := Address{IP: netip.MustParseAddr("192.168.122.62"), Source: Dnsmasq, Freshness: Older, Expiry: noon}
	static := Address{IP: netip.MustParseAddr("192.168.122.9"), Source: Neighbours, Freshness: ThisStart, Live: true}
	a, b := pick([]Address{old, static}, true)
	if a.IP != static.IP || b != later {
		t.Errorf("%v, %d", a.IP, b)
	}
}

func TestAReportIsPlainJSON(t *testing.T) {
	s := scene{
		file: "1795437000 52:54:00:53:52:b1 192.168.122.62 guestvm *\nhalf\n", modified: at("11:55:00"),
		neighbours: []neighbour{{ip: netip.MustParseAddr("192.168.122.62"), state: netlink.NUD_STALE, confirmed: at("11:59:00")}},
	}
	report := judge(s.query(), s.view(), nil)[0]
	report.Addresses[0].Expiry = report.Addresses[0].Expiry.UTC()
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "source": "dnsmasq",
  "path": "FILE",
  "readable": true,
  "entries": 1,
  "skipped": 1,
  "matched": true,
  "modified": "2026-11-23T11:55:00Z",
  "addresses": [
    {
      "address": "192.168.122.62",
      "source": "dnsmasq",
      "path": "FILE",
      "hostname": "guestvm",
      "expiry": "2026-11-23T12:30:00Z",
      "freshness": "unknown",
      "live": false,
      "neighbour": "STALE"
    }
  ],
  "verdict": "192.168.122.62: lease, STALE (1 unreadable entries skipped)"
}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Error(diff)
	}
	if report.Age != 5*time.Minute {
		t.Errorf("age %v", report.Age)
	}
}

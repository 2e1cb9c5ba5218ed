package netsetup

import (
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestTheHostsAddressInASubnetThatIsAskedFor(t *testing.T) {
	const range8to29 = ": refused: must be IPv4, from /8 to /29"
	for ask, want := range map[string]string{
		"10.77.0.0/16":   "10.77.0.1/16", // the first
		"10.77.0.1/16":   "10.77.0.1/16",
		"10.77.0.0/29":   "10.77.0.1/29",
		"10.77.0.0/30":   "subnet 10.77.0.0/30" + range8to29,
		"11.0.0.0/8":     "11.0.0.1/8",
		"10.0.0.0/7":     "subnet 10.0.0.0/7" + range8to29,
		"fd00::/16":      "subnet fd00::/16" + range8to29,
		"fd00::/64":      "subnet fd00::/64" + range8to29,
		"10.77.0.255/24": "subnet 10.77.0.255/24: refused: its last address is for broadcasts",
		"10.77.0.254/24": "10.77.0.254/24",
	} {
		w, err := Settle(Request{Subnet: netip.MustParsePrefix(ask)}, debian())
		got := w.Subnet.String()
		if err != nil {
			got = err.Error()
			if !errors.Is(err, ErrRequest) {
				t.Errorf("%s: not the request's fault: %v", ask, err)
			}
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", ask, got, want)
		}
	}
}

func TestTheGuestsAddressesAreBetweenTheHostsAndTheBroadcasts(t *testing.T) {
	for subnet, want := range map[string][2]string{
		"10.77.0.1/24":   {"10.77.0.2", "10.77.0.254"},
		"10.77.0.254/24": {"10.77.0.1", "10.77.0.253"},
		"10.77.0.6/29":   {"10.77.0.1", "10.77.0.5"},
		"10.0.0.1/8":     {"10.0.0.2", "10.255.255.254"},
	} {
		first, last := Want{Subnet: netip.MustParsePrefix(subnet)}.pool()
		if got := [2]string{first.String(), last.String()}; got != want {
			t.Errorf("%s: %s to %s, want %s to %s", subnet, got[0], got[1], want[0], want[1])
		}
	}
}

func TestTheSubnetsThatAreTried(t *testing.T) {
	var routes []Route
	take := func(subnet string) { routes = append(routes, Route{netip.MustParsePrefix(subnet), "eth0"}) }
	for range 2 * (254 - 123 + 1) {
		p, err := freeSubnet("qlbr0", routes)
		if err != nil {
			t.Fatalf("after %d: %v", len(routes), err)
		}
		take(p.String())
	}
	first, second := routes[0], routes[254-123]
	third, last := routes[254-123+1], routes[len(routes)-1]
	var got []string
	for _, r := range []Route{first, second, third, last} {
		got = append(got, r.To.String())
	}
	want := []string{"192.168.123.1/24", "192.168.254.1/24", "10.123.0.1/24", "10.254.0.1/24"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, err := freeSubnet("qlbr0", routes)
	if want := "a subnet for qlbr0: taken: the host has routes to all that were tried; --subnet names one"; !errors.Is(err, ErrSubnetTaken) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestARouteThatIsTheBridgesOwnTakesNothing(t *testing.T) {
	h := with(debian(), func(h *Host) {
		h.Routes = append(h.Routes, Route{netip.MustParsePrefix("192.168.123.0/24"), OwnBridge})
	})
	if want, err := Settle(Request{}, h); err != nil || want.Subnet.String() != "192.168.123.1/24" {
		t.Errorf("got %s, %v", want.Subnet, err)
	}
}

func TestTheNamesOfBridges(t *testing.T) {
	for name, good := range map[string]bool{
		"a": true, "br-lan.1_x": true, "abcdefghijklmno": true, // 15 characters
		"abcdefghijklmnop": false, "1br": false, "br/0": false, "all": false, "br 0": false, "-br": false,
	} {
		_, err := Settle(Request{Bridge: name}, debian())
		if (err == nil) != good || err != nil && !errors.Is(err, ErrRequest) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestWhatEarlierSetupsLetTheHelperJoinStays(t *testing.T) {
	h := with(debian(), func(h *Host) {
		text := ofSetup + "allow br0\n  allow virbr0\nallow all\ndeny br1\nallow qlbr0\nbr2\n"
		h.States[Item{KindFile, ACLInclude}] = FileState(0o640, "root", Group, []byte(text))
	})
	for bridge, want := range map[string][]string{"qlbr0": {"br0", "virbr0", "qlbr0"}, "br9": {"br0", "virbr0", "qlbr0", "br9"}} {
		got, err := Settle(Request{Bridge: bridge}, h)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Bridges); diff != "" {
			t.Errorf("%s: %s", bridge, diff)
		}
	}
}

func TestWhatTheLastSetupSettledStays(t *testing.T) {
	yes, no := true, false
	before := done(t, Request{Subnet: netip.MustParsePrefix("10.77.0.0/16"), Isolate: &yes}, debian())
	for _, c := range []struct {
		what    string
		ask     Request
		have    Host
		subnet  string
		isolate bool
	}{
		{"nothing asked", Request{}, before, "10.77.0.1/16", true},
		{"by its name", Request{Bridge: OwnBridge}, before, "10.77.0.1/16", true},
		{"no isolation any more", Request{Isolate: &no}, before, "10.77.0.1/16", false},
		{"another subnet", Request{Subnet: netip.MustParsePrefix("10.78.0.0/16")}, before, "10.78.0.1/16", true},
		{"the last one was another's bridge", Request{Bridge: "br9"}, with(before, func(h *Host) {
			h.Previous.Own, h.Previous.Bridge = false, "virbr0"
		}), "192.168.123.1/24", false},
	} {
		got, err := Settle(c.ask, c.have)
		if err != nil || got.Subnet.String() != c.subnet || got.Isolate != c.isolate || !got.Own || !got.Forward {
			t.Errorf("%s: got %+v, %v", c.what, got, err)
		}
	}
}

func TestTheBridgeThatServesDHCPIsTakenAndLibvirtsFirst(t *testing.T) {
	bridge := func(name string, kind string, change func(*HostBridge)) HostBridge {
		b := HostBridge{Bridge: Bridge{Name: name, Up: true}, DHCP: Server{Kind: kind}}
		if change != nil {
			change(&b)
		}
		return b
	}
	for _, c := range []struct {
		what    string
		bridges []HostBridge
		want    string
		own     bool
	}{
		{"none", nil, OwnBridge, true},
		{"two", []HostBridge{bridge("br7", ServerDnsmasq, nil), bridge("virbr0", ServerLibvirt, nil)}, "virbr0", false},
		{"down", []HostBridge{bridge("br7", ServerDnsmasq, func(b *HostBridge) { b.Up = false })}, OwnBridge, true},
		{"dead", []HostBridge{bridge("br7", ServerDnsmasq, func(b *HostBridge) { b.DHCP.Dead = true })}, OwnBridge, true},
		{"a LAN's", []HostBridge{bridge("br7", ServerDnsmasq, func(b *HostBridge) { b.Uplinks = []string{"eth0"} })}, OwnBridge, true},
		{"without a server", []HostBridge{bridge("br7", "", nil)}, OwnBridge, true},
		{"ours", []HostBridge{bridge("br7", ServerQlaunch, nil)}, OwnBridge, true},
	} {
		got, err := Settle(Request{}, with(debian(), func(h *Host) { h.Bridges = c.bridges }))
		if err != nil || got.Bridge != c.want || got.Own != c.own {
			t.Errorf("%s: got %+v, %v", c.what, got, err)
		}
	}
}

// A bridge of somebody else's without DHCP is only opened: nothing about packets is decided for it.
func TestForwardingIsForBridgesWithDHCP(t *testing.T) {
	for kind, want := range map[string]bool{"": false, ServerDnsmasq: true} {
		h := with(debian(), func(h *Host) {
			h.Bridges = []HostBridge{{Bridge: Bridge{Name: "br7", Up: true}, DHCP: Server{Kind: kind}}}
		})
		got, err := Settle(Request{Bridge: "br7"}, h)
		if err != nil || got.Own || got.Forward != want {
			t.Errorf("DHCP by %q: got %+v, %v", kind, got, err)
		}
		forwards := slices.ContainsFunc(Plan(got, h), func(s Step) bool { return s.Kind == KindSysctl || s.Name == sysctlFile })
		if forwards != want {
			t.Errorf("DHCP by %q: the plan sets forwarding: %v", kind, forwards)
		}
	}
}

func TestARefusalLeavesNothingWanted(t *testing.T) {
	yes := true
	for what, ask := range map[string]Request{
		"a name": {Bridge: "all"}, "a link": {Bridge: "eth0"}, "a subnet": {Subnet: netip.MustParsePrefix("fd00::/64")},
		"another's bridge": {Bridge: "virbr0", Isolate: &yes}, "another's subnet": {Bridge: "virbr0", Subnet: netip.MustParsePrefix("10.9.0.0/24")},
	} {
		got, err := Settle(ask, with(debian(), libvirt))
		if err == nil {
			t.Errorf("%s: no error", what)
		}
		if diff := cmp.Diff(Want{}, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}

func TestAnACLThatWasNotSeenIsNotJudged(t *testing.T) {
	acl := Item{KindShared, DefaultACL}
	h := with(debian(), func(h *Host) {
		h.States[acl] = FileState(0o600, "root", "root", []byte("deny all\n"))
		h.Unseen = map[Item]bool{acl: true}
	})
	if _, err := Settle(Request{}, h); err != nil {
		t.Error(err)
	}
	h.Unseen = nil
	_, err := Settle(Request{}, h)
	if e, ok := errors.AsType[*Error](err); !ok || e.File != DefaultACL || e.Bridge != OwnBridge {
		t.Errorf("seen: %+v", err)
	}
}

// What is missing is named in one order, whatever that of a map is.
func TestMissingProgramsAreNamedInOrder(t *testing.T) {
	h := with(debian(), func(h *Host) { h.Nft, h.Dnsmasq = "", "" })
	for range 50 {
		_, err := Settle(Request{}, h)
		if missing, ok := errors.AsType[*NoProgramError](err); !ok || !slices.Equal(missing.Programs, []string{"dnsmasq", "nft"}) {
			t.Fatalf("got %v", err)
		}
	}
}

// What is to be looked at before a plan is what a plan can change on a host on which nothing is as wanted.
func TestAllThatAPlanChangesIsLookedAtBefore(t *testing.T) {
	for name, h := range map[string]Host{"bare": debian(), "docker": with(debian(), docker), "done": done(t, Request{}, debian())} {
		want, err := Settle(Request{Users: []string{"alice"}}, h)
		if err != nil {
			t.Fatal(err)
		}
		items, runtime := Items(want, h), RuntimeItems(want, h)
		for _, s := range Plan(want, h) {
			if !slices.Contains(items, s.Item) {
				t.Errorf("%s: %v is changed, and not looked at", name, s.Item)
			}
		}
		for _, i := range []Item{{KindGroup, Group}, {KindMember, Group + "/alice"}, {KindFile, ACLInclude}, {KindShared, DefaultACL},
			{KindMode, h.Helper}, {KindSysctl, ipForward}, {KindBridge, OwnBridge}, {KindTable, "ip qlaunch"}, {KindUnit, DHCPUnit}} {
			if !slices.Contains(items, i) {
				t.Errorf("%s: %v is not looked at", name, i)
			}
		}
		for _, i := range []Item{{KindMode, h.Helper}, {KindSysctl, ipForward}, {KindBridge, OwnBridge}, {KindTable, "ip qlaunch"}, {KindTable, "bridge qlaunch"}} {
			if !slices.Contains(runtime, i) {
				t.Errorf("%s: a boot takes %v back, which is not looked at", name, i)
			}
		}
		for _, i := range runtime {
			if slices.Contains([]Kind{KindFile, KindShared, KindDirectory, KindUnit, KindProgram, KindGroup, KindMember, KindOverride}, i.Kind) {
				t.Errorf("%s: a boot does not take %v back", name, i)
			}
		}
	}
}

func TestWhatSettlesIsLookedAtFirst(t *testing.T) {
	always := []Item{{KindShared, DefaultACL}, {KindFile, ACLInclude}}
	if diff := cmp.Diff(always, Settled("")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(append(always, Item{KindMode, "/h"}), Settled("/h")); diff != "" {
		t.Error(diff)
	}
}

func TestTheModeOfTheACLLetsTheGroupRead(t *testing.T) {
	for mode, want := range map[string]string{
		"0644 root:root": "0644 root:root",
		"0604 eve:eve":   "0604 eve:eve",
		"0640 root:kvm":  "0640 root:kvm",
		"0600 root:root": "0640 root:kvm",
		"0640 root:root": "0640 root:kvm",
		"0600 root:kvm":  "0640 root:kvm",
		"0610 root:kvm":  "0650 root:kvm",
		"0602 root:kvm":  "0642 root:kvm",
		"0601 root:root": "0641 root:kvm",
		"0620 adm:kvm":   "0660 adm:kvm",
		"not to be read": "not to be read",
		"":               "",
	} {
		if got := readable(mode); got != want {
			t.Errorf("%q: got %q, want %q", mode, got, want)
		}
	}
}

// The addresses that somebody gave to our bridge stay on it; the one of an earlier setup goes.
func TestTheBridgesOtherAddressesStay(t *testing.T) {
	h := done(t, Request{}, debian())
	for _, a := range []string{"192.168.200.1/24", "fe80::1/64"} {
		h.Bridges[0].Addrs = append(h.Bridges[0].Addrs, netip.MustParsePrefix(a))
	}
	want, err := Settle(Request{Subnet: netip.MustParsePrefix("10.77.0.0/16")}, h)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range Plan(want, h) {
		if s.Kind == KindBridge {
			for line := range strings.Lines(s.To) {
				if address, ok := strings.CutPrefix(line, "address "); ok {
					got = append(got, strings.TrimSpace(address))
				}
			}
		}
	}
	if diff := cmp.Diff([]string{"10.77.0.1/16", "192.168.200.1/24"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnACLOfAnotherGroupIsReadOrRefused(t *testing.T) {
	for bits, refused := range map[fs.FileMode]bool{0o600: true, 0o601: true, 0o602: true, 0o633: true, 0o640: false, 0o604: false, 0o644: false} {
		h := debian()
		h.States[Item{KindShared, DefaultACL}] = FileState(bits, "root", "libvirt", []byte("allow br0\n"))
		_, err := Settle(Request{}, h)
		if errors.Is(err, ErrACLUnreadable) != refused || err != nil && !refused {
			t.Errorf("%04o: %v", bits, err)
		}
	}
}

func TestOurFileInTheACLStaysAnotherGroups(t *testing.T) {
	for now, want := range map[string]string{"0640 root:libvirt": "0640 root:libvirt", "0600 root:root": "0640 root:kvm", "": "0640 root:kvm"} {
		h := debian()
		if now != "" {
			h.States[Item{KindFile, ACLInclude}] = now + "\nallow br9\n"
		}
		wanted, err := Settle(Request{}, h)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, s := range Plan(wanted, h) {
			if s.Item == (Item{KindFile, ACLInclude}) {
				got, _, _ = strings.Cut(s.To, "\n")
			}
		}
		if got != want {
			t.Errorf("%q becomes %q, want %q", now, got, want)
		}
	}
}

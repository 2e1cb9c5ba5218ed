package host

import (
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/qlaunch/qlaunch/netsetup"
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
		w, err := Resolve(Request{Subnet: netip.MustParsePrefix(ask)}, debian())
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
		first, last := Spec{Subnet: netip.MustParsePrefix(subnet)}.pool()
		if got := [2]string{first.String(), last.String()}; got != want {
			t.Errorf("%s: %s to %s, want %s to %s", subnet, got[0], got[1], want[0], want[1])
		}
	}
}

func TestTheSubnetsThatAreTried(t *testing.T) {
	var routes []netsetup.Route
	take := func(subnet string) { routes = append(routes, route(subnet, "eth0")) }
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
	for _, r := range []netsetup.Route{first, second, third, last} {
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
	h := with(debian(), func(h *Facts) {
		h.Routes = append(h.Routes, route("192.168.123.0/24", netsetup.OwnBridge))
	})
	if want, err := Resolve(Request{}, h); err != nil || want.Subnet.String() != "192.168.123.1/24" {
		t.Errorf("got %s, %v", want.Subnet, err)
	}
}

func TestTheNamesOfBridges(t *testing.T) {
	for name, good := range map[string]bool{
		"a": true, "br-lan.1_x": true, "abcdefghijklmno": true, // 15 characters
		"abcdefghijklmnop": false, "1br": false, "br/0": false, "all": false, "br 0": false, "-br": false,
	} {
		_, err := Resolve(Request{Bridge: name}, debian())
		if (err == nil) != good || err != nil && !errors.Is(err, ErrRequest) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestWhatEarlierSetupsLetTheHelperJoinStays(t *testing.T) {
	h := with(debian(), func(h *Facts) {
		text := ofSetup + "allow br0\n  allow virbr0\nallow all\ndeny br1\nallow qlbr0\nbr2\n"
		h.States[Item{KindFile, aclInclude}] = fileState(0o640, "root", Group, []byte(text))
	})
	for bridge, want := range map[string][]string{"qlbr0": {"br0", "virbr0", "qlbr0"}, "br9": {"br0", "virbr0", "qlbr0", "br9"}} {
		got, err := Resolve(Request{Bridge: bridge}, h)
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
		have    Facts
		subnet  string
		isolate bool
	}{
		{"nothing asked", Request{}, before, "10.77.0.1/16", true},
		{"by its name", Request{Bridge: netsetup.OwnBridge}, before, "10.77.0.1/16", true},
		{"no isolation any more", Request{Isolate: &no}, before, "10.77.0.1/16", false},
		{"another subnet", Request{Subnet: netip.MustParsePrefix("10.78.0.0/16")}, before, "10.78.0.1/16", true},
		{"the last one was another's bridge", Request{Bridge: "br9"}, with(before, func(h *Facts) {
			h.Previous.Own, h.Previous.Bridge = false, "virbr0"
		}), "192.168.123.1/24", false},
	} {
		got, err := Resolve(c.ask, c.have)
		if err != nil || got.Subnet.String() != c.subnet || got.Isolate != c.isolate || !got.Own || !got.Forward {
			t.Errorf("%s: got %+v, %v", c.what, got, err)
		}
	}
}

func TestTheBridgeThatServesDHCPIsTakenAndLibvirtsFirst(t *testing.T) {
	bridge := func(name string, kind string, change func(*BridgeFacts)) BridgeFacts {
		b := BridgeFacts{Bridge: netsetup.Bridge{Name: name, Up: true}, DHCP: netsetup.Server{Kind: kind}}
		if change != nil {
			change(&b)
		}
		return b
	}
	for _, c := range []struct {
		what    string
		bridges []BridgeFacts
		want    string
		own     bool
	}{
		{"none", nil, netsetup.OwnBridge, true},
		{"two", []BridgeFacts{bridge("br7", netsetup.ServerDnsmasq, nil), bridge("virbr0", netsetup.ServerLibvirt, nil)}, "virbr0", false},
		{"down", []BridgeFacts{bridge("br7", netsetup.ServerDnsmasq, func(b *BridgeFacts) { b.Up = false })}, netsetup.OwnBridge, true},
		{"dead", []BridgeFacts{bridge("br7", netsetup.ServerDnsmasq, func(b *BridgeFacts) { b.DHCP.Dead = true })}, netsetup.OwnBridge, true},
		{"a LAN's", []BridgeFacts{bridge("br7", netsetup.ServerDnsmasq, func(b *BridgeFacts) { b.Uplinks = []string{"eth0"} })}, netsetup.OwnBridge, true},
		{"without a server", []BridgeFacts{bridge("br7", "", nil)}, netsetup.OwnBridge, true},
		{"ours", []BridgeFacts{bridge("br7", netsetup.ServerQlaunch, nil)}, netsetup.OwnBridge, true},
	} {
		got, err := Resolve(Request{}, with(debian(), func(h *Facts) { h.Bridges = c.bridges }))
		if err != nil || got.Bridge != c.want || got.Own != c.own {
			t.Errorf("%s: got %+v, %v", c.what, got, err)
		}
	}
}

// A bridge of somebody else's without DHCP is only opened: nothing about packets is decided for it.
func TestForwardingIsForBridgesWithDHCP(t *testing.T) {
	for kind, want := range map[string]bool{"": false, netsetup.ServerDnsmasq: true} {
		h := with(debian(), func(h *Facts) {
			h.Bridges = []BridgeFacts{{Bridge: netsetup.Bridge{Name: "br7", Up: true}, DHCP: netsetup.Server{Kind: kind}}}
		})
		got, err := Resolve(Request{Bridge: "br7"}, h)
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
		got, err := Resolve(ask, with(debian(), libvirt))
		if err == nil {
			t.Errorf("%s: no error", what)
		}
		if diff := cmp.Diff(Spec{}, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}

func TestAnACLThatWasNotSeenIsNotJudged(t *testing.T) {
	acl := Item{KindShared, netsetup.DefaultACL}
	h := with(debian(), func(h *Facts) {
		h.States[acl] = fileState(0o600, "root", "root", []byte("deny all\n"))
		h.Unseen = map[Item]bool{acl: true}
	})
	if _, err := Resolve(Request{}, h); err != nil {
		t.Error(err)
	}
	h.Unseen = nil
	_, err := Resolve(Request{}, h)
	if e, ok := errors.AsType[*netsetup.ACLError](err); !ok || e.File != netsetup.DefaultACL || e.Bridge != netsetup.OwnBridge {
		t.Errorf("seen: %+v", err)
	}
}

// What is missing is named in one order, whatever that of a map is.
func TestMissingProgramsAreNamedInOrder(t *testing.T) {
	h := with(debian(), func(h *Facts) { h.Nft, h.Dnsmasq = "", "" })
	for range 50 {
		_, err := Resolve(Request{}, h)
		if missing, ok := errors.AsType[*NoProgramError](err); !ok || !slices.Equal(missing.Programs, []string{"dnsmasq", "nft"}) {
			t.Fatalf("got %v", err)
		}
	}
}

// What is to be looked at before a plan is what a plan can change on a host on which nothing is as wanted.
func TestAllThatAPlanChangesIsLookedAtBefore(t *testing.T) {
	for name, h := range map[string]Facts{"bare": debian(), "docker": with(debian(), docker), "done": done(t, Request{}, debian())} {
		want, err := Resolve(Request{Users: []string{"alice"}}, h)
		if err != nil {
			t.Fatal(err)
		}
		items, runtime := plannedItems(want, h), runtimeItems(want, h)
		for _, s := range Plan(want, h) {
			if !slices.Contains(items, s.Item) {
				t.Errorf("%s: %v is changed, and not looked at", name, s.Item)
			}
		}
		for _, i := range []Item{{KindGroup, Group}, {KindMember, Group + "/alice"}, {KindFile, aclInclude}, {KindShared, netsetup.DefaultACL},
			{KindMode, h.Helper}, {KindSysctl, ipForward}, {KindBridge, netsetup.OwnBridge}, {KindTable, "ip qlaunch"}, {KindUnit, dhcpUnit}} {
			if !slices.Contains(items, i) {
				t.Errorf("%s: %v is not looked at", name, i)
			}
		}
		for _, i := range []Item{{KindMode, h.Helper}, {KindSysctl, ipForward}, {KindBridge, netsetup.OwnBridge}, {KindTable, "ip qlaunch"}, {KindTable, "bridge qlaunch"}} {
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
	always := []Item{{KindShared, netsetup.DefaultACL}, {KindFile, aclInclude}}
	if diff := cmp.Diff(always, itemsToResolve("")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(append(always, Item{KindMode, "/h"}), itemsToResolve("/h")); diff != "" {
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
	want, err := Resolve(Request{Subnet: netip.MustParsePrefix("10.77.0.0/16")}, h)
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
		h.States[Item{KindShared, netsetup.DefaultACL}] = fileState(bits, "root", "libvirt", []byte("allow br0\n"))
		_, err := Resolve(Request{}, h)
		if errors.Is(err, netsetup.ErrACLUnreadable) != refused || err != nil && !refused {
			t.Errorf("%04o: %v", bits, err)
		}
	}
}

func TestOurFileInTheACLStaysAnotherGroups(t *testing.T) {
	for now, want := range map[string]string{"0640 root:libvirt": "0640 root:libvirt", "0600 root:root": "0640 root:kvm", "": "0640 root:kvm"} {
		h := debian()
		if now != "" {
			h.States[Item{KindFile, aclInclude}] = now + "\nallow br9\n"
		}
		wanted, err := Resolve(Request{}, h)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, s := range Plan(wanted, h) {
			if s.Item == (Item{KindFile, aclInclude}) {
				got, _, _ = strings.Cut(s.To, "\n")
			}
		}
		if got != want {
			t.Errorf("%q becomes %q, want %q", now, got, want)
		}
	}
}

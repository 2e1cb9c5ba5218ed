package host

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qlaunch/qlaunch/netsetup"
)

var update = flag.Bool("update", false, "write the golden files anew")

// debian is a Debian with systemd, QEMU, nft and dnsmasq, and nothing set up.
func debian() Facts {
	return Facts{
		States: map[Item]string{
			{KindGroup, Group}: "present",
			{KindMode, "/usr/lib/qemu/qemu-bridge-helper"}: "0755 root:root",
			{KindSysctl, ipForward}:                        "0",
			{KindDirectory, "/etc/sysctl.d"}:               "0755 root:root",
		},
		Links:   []string{"lo", "eth0"},
		Routes:  []netsetup.Route{route("0.0.0.0/0", "eth0"), route("10.0.0.0/24", "eth0")},
		Users:   []string{"alice"},
		Systemd: true, Dpkg: true, BridgeMeta: true,
		Helper: "/usr/lib/qemu/qemu-bridge-helper", Nft: "/usr/sbin/nft", Dnsmasq: "/usr/sbin/dnsmasq",
		MachineID: "0123456789abcdef0123456789abcdef",
		Program:   "0755 root:root 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
	}
}

func route(to, dev string) netsetup.Route {
	return netsetup.Route{To: netip.MustParsePrefix(to), Dev: dev}
}

func with(h Facts, changes ...func(*Facts)) Facts {
	for _, change := range changes {
		change(&h)
	}
	return h
}

// done is the host after all that setup would do to it.
func done(t *testing.T, ask Request, h Facts) Facts {
	t.Helper()
	want, err := Resolve(ask, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Plan(want, h) {
		h.States[s.Item] = s.To
	}
	if want.Own {
		own := netsetup.Bridge{Name: want.Bridge, Up: true, Addrs: []netip.Prefix{want.Subnet}}
		h.Bridges = append(h.Bridges, BridgeFacts{Bridge: own, DHCP: netsetup.Server{Kind: netsetup.ServerQlaunch}})
		h.Routes = append(h.Routes, netsetup.Route{To: want.Subnet.Masked(), Dev: want.Bridge})
	}
	h.Previous = want
	return h
}

func libvirt(h *Facts) {
	virbr0 := netsetup.Bridge{Name: "virbr0", Up: true, Addrs: []netip.Prefix{netip.MustParsePrefix("192.168.122.1/24")}}
	h.Bridges = append(h.Bridges, BridgeFacts{Bridge: virbr0, DHCP: netsetup.Server{Kind: netsetup.ServerLibvirt}})
	h.Routes = append(h.Routes, route("192.168.122.0/24", "virbr0"))
	h.States[Item{KindSysctl, ipForward}] = "1"
}

func docker(h *Facts) {
	h.IPTables = "/usr/sbin/iptables"
	h.States[Item{KindFilter, "filter"}] = filterState("FORWARD")
	h.Bridges = append(h.Bridges, BridgeFacts{Bridge: netsetup.Bridge{Name: "docker0", Up: true}})
	h.Routes = append(h.Routes, route("172.17.0.0/16", "docker0"), route("192.168.0.0/17", "br-1"))
}

func firewalld(h *Facts) { h.Firewalld = true }

func TestPlans(t *testing.T) {
	yes := true
	tests := []struct {
		name string
		ask  Request
		have Facts
	}{
		{"bare", Request{Users: []string{"alice"}}, debian()},
		{"libvirt", Request{}, with(debian(), libvirt)},
		{"docker", Request{}, with(debian(), docker)},
		{"ufw", Request{Isolate: &yes}, with(debian(), func(h *Facts) { h.IPTables = "/usr/sbin/iptables" })},
		{"firewalld", Request{Bridge: "guests0", Subnet: netip.MustParsePrefix("10.77.0.0/16")}, with(debian(), func(h *Facts) {
			h.Firewalld, h.NetworkManager, h.Networkd = true, true, true
		})},
		{"names", Request{Names: []Name{{"web", "52:54:00:00:00:0b"}}}, done(t, Request{}, debian())},
		{"open", Request{HostAccess: &yes, Inbound: &yes}, with(done(t, Request{}, with(debian(), docker, firewalld)), firewalld)},
		{"without_systemd_and_dpkg", Request{}, with(debian(), func(h *Facts) { h.Systemd, h.Dpkg, h.BridgeMeta = false, false, false })},
		{"half_set_up", Request{}, with(done(t, Request{}, debian()), func(h *Facts) {
			for _, item := range []Item{{KindTable, "ip qlaunch"}, {KindUnit, dhcpUnit}, {KindMode, h.Helper}} {
				delete(h.States, item)
			}
			h.States[Item{KindMode, h.Helper}] = "0755 root:root"
			h.States[Item{KindBridge, netsetup.OwnBridge}] = bridgeState{MAC: bridgeMAC(h.MachineID, netsetup.OwnBridge), AcceptRA: "1"}.String()
		})},
		{"older_version", Request{}, with(done(t, Request{}, debian()), func(h *Facts) {
			h.States[Item{KindFile, netsetup.DNSConfig(netsetup.OwnBridge)}] = ours("interface=qlbr0\n")
			h.States[Item{KindProgram, programPath}] = "0755 root:root 00"
			h.States[Item{KindTable, "ip qlaunch"}] = "table ip qlaunch {\n}\n"
			h.States[Item{KindTable, "bridge qlaunch"}] = stamped(earlierBridge)
			delete(h.States, Item{KindTable, "inet qlaunch"})
		})},
		{"nothing_to_do", Request{}, done(t, Request{Users: []string{"alice"}}, debian())},
		{"isolated_later", Request{Isolate: &yes}, done(t, Request{}, debian())},
		{"administrators_acl", Request{}, with(debian(), func(h *Facts) {
			h.States[Item{KindDirectory, "/etc/qemu"}] = "0755 root:root"
			h.States[Item{KindShared, netsetup.DefaultACL}] = fileState(0o600, "root", "root", []byte("# ours\nallow br0"))
			h.States[Item{KindMode, h.Helper}] = "4755 root:root"
		})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want, err := Resolve(test.ask, test.have)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", "plan", test.name+".txt"), []byte(readablePlan(Plan(want, test.have))))
		})
	}
}

// earlierBridge is the table of a version that knew fewer rules.
const earlierBridge = `table bridge qlaunch {
	chain forward {
		type filter hook forward priority filter; policy accept;
		meta ibrname "qlbr0" icmpv6 type nd-router-advert drop
		meta ibrname "qlbr0" udp sport 67 udp dport 68 drop
	}
}
`

// journalOf is what setup notes of the steps that lead from one host to another.
func journalOf(t *testing.T, ask Request, before Facts) []Step {
	t.Helper()
	want, err := Resolve(ask, before)
	if err != nil {
		t.Fatal(err)
	}
	return Plan(want, before)
}

func TestTeardowns(t *testing.T) {
	steps := journalOf(t, Request{Users: []string{"alice"}}, with(debian(), docker))
	tests := []struct {
		name string
		have Facts
	}{
		{"untouched", done(t, Request{Users: []string{"alice"}}, with(debian(), docker))},
		{"changed_since", with(done(t, Request{Users: []string{"alice"}}, with(debian(), docker)), func(h *Facts) {
			h.States[Item{KindShared, netsetup.DefaultACL}] += "allow br0\n"
			h.States[Item{KindMode, h.Helper}] = "4755 root:root"
			h.States[Item{KindFile, sysctlFile}] = ours("net.ipv4.ip_forward = 1\nnet.ipv4.conf.all.rp_filter = 2\n")
			h.States[Item{KindBridge, netsetup.OwnBridge}] += "\naddress 192.168.200.1/24"
			h.Bridges[0].Addrs = []netip.Prefix{netip.MustParsePrefix("172.17.0.1/16")}
			delete(h.States, Item{KindTable, "ip qlaunch"})
		})},
		{"nothing", debian()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			back, left := Undo(steps, test.have)
			var b strings.Builder
			for i, s := range back {
				fmt.Fprintf(&b, "%d. %s\n   why:  %s\n", i+1, s.Reverse().Undo(), s.Why)
			}
			for _, l := range left {
				fmt.Fprintf(&b, "left: %s %s\n", l.Item, l.Why)
			}
			golden(t, filepath.Join("testdata", "teardown", test.name+".txt"), []byte(b.String()))
		})
	}
}

func TestAModeThatWasSetByHalfIsStillOurs(t *testing.T) {
	s := Step{Item: Item{KindMode, "/h"}, From: "0755 root:root", To: "4750 root:kvm"}
	for now, ours := range map[string]bool{"0755 root:kvm": true, "0750 root:kvm": true, "0750 root:root": true, "4750 root:root": true,
		"4755 root:root": false, "0700 root:root": false, "4750 eve:eve": false, "": false} {
		if back, left := Undo([]Step{s}, Facts{States: map[Item]string{s.Item: now}}); (len(back) == 1) != ours || len(left) == len(back) {
			t.Errorf("%q: back %v, left %v", now, back, left)
		}
	}
}

func readablePlan(steps []Step) string {
	var b strings.Builder
	for i, s := range steps {
		fmt.Fprintf(&b, "%d. %s\n   why:  %s\n   undo: %s\n", i+1, s.Do(), s.Why, s.Undo())
		if len(s.Then) > 0 {
			fmt.Fprintf(&b, "   then: %s\n", strings.Join(s.Then, " "))
		}
		for line := range strings.Lines(s.Detail()) {
			fmt.Fprintf(&b, "       | %s", line)
		}
	}
	return b.String()
}

// Doctor reads our own rules as any firewall's; its tests have these files.
func TestTheRulesThatDoctorReads(t *testing.T) {
	for name, spec := range map[string]Spec{
		"closed": {}, "inbound": {Inbound: true}, "isolate": {Isolate: true}, "open": {HostAccess: true, Inbound: true, Isolate: true},
	} {
		spec.Bridge, spec.Subnet = "br0", netip.MustParsePrefix("10.0.0.1/24")
		golden(t, filepath.Join("..", "testdata", "rules", name+".nft"), []byte(stamped(fill("inet.nft", spec.values(Facts{})))))
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s (-want +got):\n%s", file, cmp.Diff(string(want), string(got)))
	}
}

func TestAPlanDoneLeavesNothingToDo(t *testing.T) {
	yes := true
	for name, have := range map[string]func() Facts{
		"bare": debian, "libvirt": func() Facts { return with(debian(), libvirt) }, "docker": func() Facts { return with(debian(), docker) },
	} {
		for _, ask := range []Request{{}, {Users: []string{"alice"}}, {Isolate: &yes}, {HostAccess: &yes}, {Inbound: &yes}, {Names: []Name{{"web", "52:54:00:00:00:0b"}}}} {
			if name == "libvirt" && ask.rules() {
				continue // refused
			}
			h := done(t, ask, have())
			want, err := Resolve(ask, h)
			if err != nil {
				t.Fatal(err)
			}
			if steps := Plan(want, h); len(steps) > 0 {
				t.Errorf("%s: a second plan has %d steps:\n%s", name, len(steps), readablePlan(steps))
			}
			if want, err = Resolve(Request{}, h); err != nil {
				t.Fatal(err)
			}
			if steps := Plan(want, h); len(steps) > 0 {
				t.Errorf("%s: a plan without flags takes back %d steps:\n%s", name, len(steps), readablePlan(steps))
			}
		}
	}
}

func TestWhatSetupRefuses(t *testing.T) {
	yes := true
	tests := []struct {
		name  string
		ask   Request
		have  Facts
		cause error
		text  string
	}{
		{"a bridge's name that writes into files", Request{Bridge: "x\ndhcp-script=/tmp/x"}, debian(), ErrRequest,
			`bridge "x\ndhcp-script=/tmp/x": refused: must be a letter, then at most 14 of letters, digits, '.', '_' and '-', and not "all"`},
		{"a name for all bridges", Request{Bridge: "all"}, debian(), ErrRequest, ""},
		{"a link that is no bridge", Request{Bridge: "eth0"}, debian(), netsetup.ErrNotBridge, `bridge "eth0": not a bridge`},
		{"an exposed bridge", Request{}, with(debian(), func(h *Facts) {
			h.Bridges = []BridgeFacts{{Bridge: netsetup.Bridge{Name: "qlbr0", Uplinks: []string{"eth1"}}}}
		}), ErrExposed, `bridge "qlbr0": has a port that leads out of the host: eth1: DHCP and NAT on it would reach your LAN`},
		{"a subnet that is taken", Request{Subnet: netip.MustParsePrefix("10.0.0.0/8")}, debian(), ErrSubnetTaken,
			"subnet 10.0.0.0/8: taken: the host reaches 10.0.0.0/24 through eth0"},
		{"a subnet of IPv6", Request{Subnet: netip.MustParsePrefix("fd00::/64")}, debian(), ErrRequest, "subnet fd00::/64: refused: must be IPv4, from /8 to /29"},
		{"isolation of libvirt's guests", Request{Isolate: &yes}, with(debian(), libvirt), ErrRequest,
			`bridge "virbr0": refused: it is not qlaunch's, and its subnet, its rules and its names are left to whoever made it`},
		{"a name that means the host", Request{Names: []Name{{"localhost4", "52:54:00:00:00:0b"}}}, debian(), ErrRequest,
			`name "localhost4": refused: reserved: programs use this name for the host or for a service`},
		{"a name that would be configuration", Request{Names: []Name{{"web\ndhcp-script=/x", "52:54:00:00:00:0b"}}}, debian(), ErrRequest,
			`name "web\ndhcp-script=/x": refused: must be of at most 63 lower-case letters, digits and '-'`},
		{"a name for no MAC", Request{Names: []Name{{"web", "01:00:5e:00:00:01"}}}, debian(), ErrRequest,
			`name "web": refused: "01:00:5e:00:00:01" must be the MAC of a NIC, as in 52:54:00:53:52:b1`},
		{"a name for two", Request{Names: []Name{{"web", "52:54:00:00:00:0b"}, {"web", "52:54:00:00:00:0c"}}}, debian(), ErrRequest,
			`name "web": refused: it, or 52:54:00:00:00:0c, is named twice`},
		{"no nft and no dnsmasq", Request{}, with(debian(), func(h *Facts) { h.Nft, h.Dnsmasq = "", "" }), ErrNoProgram, "dnsmasq and nft: not installed"},
		{"a user who is not there", Request{Users: []string{"bob"}}, debian(), ErrRequest, `user "bob": refused: no such user on this host`},
		{"no helper", Request{}, with(debian(), func(h *Facts) { h.Helper = "" }), netsetup.ErrNoHelper, "bridge helper: no qemu-bridge-helper: looked for " +
			"/usr/lib/qemu/qemu-bridge-helper, /usr/libexec/qemu-bridge-helper, /usr/libexec/qemu/qemu-bridge-helper, /run/wrappers/bin/qemu-bridge-helper"},
		{"a subnet's last address", Request{Subnet: netip.MustParsePrefix("10.9.0.255/24")}, debian(), ErrRequest,
			"subnet 10.9.0.255/24: refused: its last address is for broadcasts"},
		{"a subnet of loopback", Request{Subnet: netip.MustParsePrefix("127.9.0.0/24")}, debian(), ErrRequest,
			"subnet 127.9.0.0/24: refused: no host can have an address of 127.0.0.0/8 (RFC 6890)"},
		{"a subnet for multicast", Request{Subnet: netip.MustParsePrefix("239.1.2.1/24")}, debian(), ErrRequest,
			"subnet 239.1.2.1/24: refused: no host can have an address of 224.0.0.0/4 (RFC 6890)"},
		{"an image of a system", Request{}, with(debian(), func(h *Facts) { h.ReadOnly = true }), ErrReadOnly,
			"bridge helper /usr/lib/qemu/qemu-bridge-helper: /usr is read-only: its mode comes with the system's image, which must have it setuid root"},
		{"an ACL with a junk line", Request{}, with(debian(), func(h *Facts) {
			h.States[Item{KindShared, netsetup.DefaultACL}] = fileState(0o644, "root", "root", []byte("allow br0\nALLOW br1\n"))
		}), netsetup.ErrACLSyntax, `bridge "qlbr0": ACL file has a bad line: /etc/qemu/bridge.conf:2: "ALLOW": must be allow, deny or include`},
		{"an ACL that denies", Request{}, with(debian(), func(h *Facts) {
			h.States[Item{KindShared, netsetup.DefaultACL}] = fileState(0o644, "root", "root", []byte("deny all\n"))
		}), netsetup.ErrDenied, `bridge "qlbr0": not allowed: /etc/qemu/bridge.conf:1: deny all`},
		{"an ACL that only another group's root can read", Request{}, with(debian(), func(h *Facts) {
			h.States[Item{KindShared, netsetup.DefaultACL}] = fileState(0o600, "root", "libvirt", []byte("allow br0\n"))
		}), netsetup.ErrACLUnreadable, `bridge "qlbr0": ACL file not readable by this user: /etc/qemu/bridge.conf is 0600 root:libvirt, and what is another group's stays as it is`},
		{"a second bridge of our own", Request{Bridge: "qlbr1"}, done(t, Request{}, debian()), ErrRequest,
			`bridge "qlbr1": refused: qlbr0 is set up already, and there is one bridge of qlaunch's own; ` + "`net teardown` comes first"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Resolve(test.ask, test.have)
			if !errors.Is(err, test.cause) {
				t.Fatalf("got %v, want %v", err, test.cause)
			}
			if test.text != "" && err.Error() != test.text {
				t.Errorf("got  %s\nwant %s", err, test.text)
			}
		})
	}
}

func TestTheFirstSubnetThatIsFree(t *testing.T) {
	h := with(debian(), docker)
	h.Routes = append(h.Routes, route("192.168.128.0/18", "wg0"), route("192.168.0.0/25", "lo"))
	want, err := Resolve(Request{}, h)
	if err != nil {
		t.Fatal(err)
	}
	if got := want.Subnet.String(); got != "192.168.192.1/24" {
		t.Errorf("got %s", got)
	}
	h.Routes = []netsetup.Route{route("192.168.0.0/16", "eth0")}
	if want, err = Resolve(Request{}, h); err != nil || want.Subnet.String() != "10.123.0.1/24" {
		t.Errorf("got %s, %v", want.Subnet, err)
	}
	h.Routes = append(h.Routes, route("10.0.0.0/8", "tun0"))
	if _, err = Resolve(Request{}, h); !errors.Is(err, ErrSubnetTaken) {
		t.Errorf("got %v", err)
	}
}

// vpn is one that takes all traffic and leaves the default route in its place: openvpn(8), --redirect-gateway def1.
func vpn(h *Facts) {
	h.Routes = append(h.Routes, route("0.0.0.0/1", "tun0"), route("128.0.0.0/1", "tun0"),
		route("10.8.0.0/24", "tun0"))
}

func TestBothHalvesOfADefaultRouteAreOne(t *testing.T) {
	want, err := Resolve(Request{}, with(debian(), vpn))
	if err != nil || want.Subnet.String() != "192.168.123.1/24" {
		t.Errorf("got %s, %v", want.Subnet, err)
	}
	asked := netip.MustParsePrefix("172.30.0.1/16")
	if want, err = Resolve(Request{Subnet: asked}, with(debian(), vpn)); err != nil || want.Subnet != asked {
		t.Errorf("got %s, %v", want.Subnet, err)
	}
	if _, err = Resolve(Request{Subnet: netip.MustParsePrefix("10.8.0.0/16")}, with(debian(), vpn)); !errors.Is(err, ErrSubnetTaken) {
		t.Errorf("got %v, want that the VPN's own subnet is taken", err)
	}
}

func TestTheHostsAddressIsNeverInThePool(t *testing.T) {
	for subnet, want := range map[string]string{
		"192.168.123.0/24":   "192.168.123.2 192.168.123.254", // the host has the first
		"192.168.123.1/24":   "192.168.123.2 192.168.123.254",
		"192.168.123.254/24": "192.168.123.1 192.168.123.253",
		"192.168.123.100/24": "192.168.123.101 192.168.123.254",
		"192.168.123.200/24": "192.168.123.1 192.168.123.199",
		"10.9.0.3/29":        "10.9.0.4 10.9.0.6",
		"10.9.0.12/29":       "10.9.0.9 10.9.0.11",
		"10.0.0.1/8":         "10.0.0.2 10.255.255.254",
		"10.255.255.254/8":   "10.0.0.1 10.255.255.253",
	} {
		asked := netip.MustParsePrefix(subnet)
		settled, err := Resolve(Request{Subnet: asked}, with(debian(), func(h *Facts) { h.Routes = nil }))
		if err != nil {
			t.Errorf("%s: %v", subnet, err)
			continue
		}
		first, last := settled.pool()
		if got := first.String() + " " + last.String(); got != want {
			t.Errorf("%s: got %s, want %s", subnet, got, want)
		}
		if a := settled.Subnet.Addr(); !asked.Masked().Contains(first) || !asked.Masked().Contains(last) || first.Compare(a) <= 0 && a.Compare(last) <= 0 {
			t.Errorf("%s: the host's %s is in %s to %s, or that is outside of the subnet", subnet, a, first, last)
		}
	}
}

func TestTheLineInTheACLGoesAndLeavesTheRest(t *testing.T) {
	for _, text := range []string{"", "allow br0\n", "# x\r\nallow br0", "\n\n", "allow br\xff\n"} {
		before := fileState(0o644, "root", "root", []byte(text))
		after := withInclude(before)
		if again := withInclude(after); again != after {
			t.Errorf("%q: twice is not once: %q", text, again)
		}
		want := before
		if text != "" && !strings.HasSuffix(text, "\n") {
			want += "\n" // what an editor would have left
		}
		if got := withoutInclude(after); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTheStateOfABridgeReadsBack(t *testing.T) {
	b := bridgeState{Up: true, MAC: bridgeMAC("x", "qlbr0"), Addrs: []netip.Prefix{netip.MustParsePrefix("192.168.123.1/24")}, AcceptRA: "0"}
	got, err := parseBridgeState(b.String())
	if err != nil || got.String() != b.String() {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := parseBridgeState("address x"); err == nil {
		t.Error("a bad address is no error")
	}
}

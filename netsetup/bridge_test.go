package netsetup

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

func TestBridgesAreSeenAsTheKernelHasThem(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	br := addBridge(t, "virbr0", true)
	addBridge(t, "br1", false)
	addVeth(t, "eth7", br.Attrs().Index)
	addVeth(t, "alone0", 0)
	for _, cidr := range []string{"192.168.122.1/24", "fd00::1/64"} {
		addr, err := netlink.ParseAddr(cidr)
		must(t, err)
		addr.Flags = 0x02 // IFA_F_NODAD: no tentative time
		must(t, netlink.AddrAdd(br, addr))
	}
	got, err := Bridges()
	must(t, err)
	if len(got) != 2 {
		t.Fatalf("%d bridges: %+v", len(got), got)
	}
	link, err := netlink.LinkByName("virbr0")
	must(t, err)
	if got[1].MAC.String() != link.Attrs().HardwareAddr.String() || got[1].Index != link.Attrs().Index {
		t.Errorf("MAC and index of %+v", got[1])
	}
	got[1].Addrs = withoutLinkLocal(got[1].Addrs)
	for i := range got {
		got[i].MAC, got[i].Index, got[i].MTU = nil, 0, 0
	}
	want := []Bridge{
		{Name: "br1"},
		{Name: "virbr0", Up: true, Ports: []string{"eth7"},
			Addrs: []netip.Prefix{netip.MustParsePrefix("192.168.122.1/24"), netip.MustParsePrefix("fd00::1/64")}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("bridges, - want, + got:\n%s", diff)
	}

	_, err = FindBridge("nosuch")
	wantError(t, err, ErrNoBridge, `bridge "nosuch": no such bridge`)
	_, err = FindBridge("alone0")
	wantError(t, err, ErrNotBridge, `bridge "alone0": not a bridge: a link of type veth`)
	one, err := FindBridge("br1")
	must(t, err)
	if one.Name != "br1" || one.Up {
		t.Errorf("br1: %+v", one)
	}
}

func withoutLinkLocal(addrs []netip.Prefix) (kept []netip.Prefix) {
	for _, a := range addrs {
		if !a.Addr().IsLinkLocalUnicast() {
			kept = append(kept, a)
		}
	}
	return kept
}

func TestAutoPicksTheFirstBridgeThatIsUpAndAllowed(t *testing.T) {
	up := func(name string) Bridge { return Bridge{Name: name, Up: true} }
	down := func(name string) Bridge { return Bridge{Name: name} }
	tests := []struct {
		name    string
		bridges []Bridge // sorted, as Bridges returns them
		acl     string
		want    string
	}{
		{"virbr0 before all", []Bridge{up("br0"), up("qlbr0"), up("virbr0")}, "allow all", "virbr0"},
		{"qlbr0 next", []Bridge{up("br0"), up("qlbr0"), down("virbr0")}, "allow all", "qlbr0"},
		{"then by name", []Bridge{up("br0"), up("br1")}, "allow all", "br0"},
		{"one that is allowed", []Bridge{up("br0"), up("br1"), up("virbr0")}, "allow br1", "br1"},
		{"no bridge", nil, "allow all", "bridge auto: no such bridge: no bridge on this host"},
		{"none fits", []Bridge{up("docker0"), down("virbr0")}, "allow virbr0",
			`no bridge fits: bridge "virbr0": bridge is down; bridge "docker0": not allowed: not mentioned in ACL`},
		{"one that is down and not allowed is not worth bringing up", []Bridge{down("br0")}, "allow virbr0",
			`no bridge fits: bridge "br0": not allowed: not mentioned in ACL`},
		{"no ACL", []Bridge{up("docker0"), up("virbr0")}, "", `bridge "virbr0": no ACL file: absent`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := pick(tt.bridges, func(name string) (Verdict, error) {
				if tt.acl == "" {
					return Verdict{}, forBridge(&ACLError{Failure: Failure{Cause: ErrACLMissing, Detail: "absent"}}, name)
				}
				rules, err := parseACL("ACL", []byte(tt.acl))
				v := judge(rules, name)
				v.ACL = "ACL"
				return v, err
			}, func(string) bool { return false })
			got := b.Name
			if err != nil {
				got = fmt.Sprint(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("picked, - want, + got:\n%s", diff)
			}
		})
	}
}

func TestOfBridgesThatDoNotFitTheNearestToACureIsNamed(t *testing.T) {
	reason := func(bridge string, cause error) error {
		return &BridgeError{Failure{What: bridge, Cause: cause}, Target{Bridge: bridge}}
	}
	tests := []struct {
		name    string
		reasons []error
		want    string
	}{
		{"libvirt's", []error{reason("virbr0", ErrDenied), reason("br0", ErrBridgeDown)}, "virbr0: not allowed"},
		{"an allowed one that is down", []error{reason("br0", ErrDenied), reason("br1", ErrBridgeDown)}, "br1: bridge is down"},
		{"the first", []error{reason("br0", ErrDenied), reason("br1", ErrDenied)}, "br0: not allowed"},
	}
	for _, tt := range tests {
		if got := (&NoneFits{tt.reasons}).Nearest(); fmt.Sprint(got) != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

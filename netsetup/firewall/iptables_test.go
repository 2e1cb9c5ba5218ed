package firewall

import (
	"net/netip"
	"testing"
)

func TestWhatIptablesLetsThrough(t *testing.T) {
	const drop = "-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n-N X\n"
	tests := []struct{ name, rules, want string }{
		{"nothing", "", accepts},
		{"accepts all", "-P FORWARD ACCEPT\n", accepts},
		{"drops all", drop, drops},
		{"our chain", drop + "-N QLAUNCH-FORWARD\n-A FORWARD -j QLAUNCH-FORWARD\n-A QLAUNCH-FORWARD -i br0 -j ACCEPT\n-A QLAUNCH-FORWARD -o br0 -j ACCEPT\n", accepts},
		{"our chain for another bridge", drop + "-A FORWARD -j QLAUNCH-FORWARD\n-A QLAUNCH-FORWARD -i br1 -j ACCEPT\n", drops},
		{"our chain that nobody jumps to", drop + "-A QLAUNCH-FORWARD -i br0 -j ACCEPT\n", drops},
		{"libvirt's", drop + "-A FORWARD -j LIBVIRT_FWO\n-A LIBVIRT_FWO -s 192.168.122.0/24 -i br0 -j ACCEPT\n", accepts},
		{"a rule for replies alone", drop + "-A FORWARD -i br0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n", drops},
		{"a rule with a comment", drop + "-A FORWARD -i br0 -m comment --comment guests -j ACCEPT\n", accepts},
		{"a rule for what comes back", drop + "-A FORWARD -o br0 -j ACCEPT\n", drops},
		{"a rule for all but it", drop + "-A FORWARD ! -i br0 -j ACCEPT\n", drops},
		{"a rule for one way out", drop + "-A FORWARD -i br0 -o eth0 -j ACCEPT\n", accepts},
		{"a rule for another subnet", drop + "-A FORWARD -s 10.0.0.0/8 -j ACCEPT\n", drops},
		{"two chains down", drop + "-A FORWARD -j A\n-A A -j B\n-A B -i br+ -j ACCEPT\n", accepts},
		{"an end that rejects", "-P FORWARD ACCEPT\n-A FORWARD -i eth1 -j ACCEPT\n-A FORWARD -j REJECT --reject-with icmp-host-prohibited\n", drops},
		{"a chain that is gone to", "-P FORWARD DROP\n-N A\n-A FORWARD -i br0 -g A\n-A FORWARD -j ACCEPT\n", drops},
		{"a chain that returns", "-P FORWARD ACCEPT\n-N A\n-A FORWARD -j A\n-A A -i br0 -j RETURN\n-A A -j DROP\n", accepts},
		{"a circle", drop + "-A FORWARD -j A\n-A A -j A\n", drops},
		{"a rule for all", drop + "-A FORWARD -j ACCEPT\n", accepts},
	}
	for _, tt := range tests {
		p := Packet{hook: "forward", in: "br0", out: []string{"eth0"}, from: []netip.Prefix{netip.MustParsePrefix("192.168.122.1/24")}}
		if got := p.IPTables(tt.rules); (got != nil) != (tt.want == drops) || got != nil && got.Unsure {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

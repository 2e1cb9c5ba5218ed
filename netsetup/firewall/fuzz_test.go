package firewall

import (
	"strings"
	"testing"
)

// What other programs print is read without harm, whatever it is.
func FuzzAFirewallsRulesAreReadWithoutHarm(f *testing.F) {
	f.Add("-P FORWARD DROP\n-A FORWARD -j QLAUNCH-FORWARD\n-A QLAUNCH-FORWARD -i br0 -j ACCEPT\n")
	f.Add(`{"nftables": [{"chain": {"family": "inet", "table": "fw", "name": "fwd", "hook": "forward", "policy": "drop"}}]}`)
	f.Add(`{"nftables": [{"rule": {"family": "inet", "table": "fw", "chain": "c", "expr": [{"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["new", {"drop": null}]]}}}]}}]}`)
	f.Add("-P INPUT DROP\n-A INPUT ! -i br+ -p udp -m multiport ! --dports 1,2:3 -m comment --comment \"-j x\" -g Y\n-A Y -j Y\n")
	f.Add("-P FORWARD DROP\n-A\n-A FORWARD -j\n-A FORWARD -m\n")
	f.Fuzz(func(t *testing.T, text string) {
		upper := strings.ToUpper(text)
		for _, p := range []Packet{DHCPRequest("br0"), BridgedDHCPRequest("br0")} {
			if d := p.IPTables(text); d != nil && !strings.Contains(upper, "DROP") && !strings.Contains(upper, "REJECT") {
				t.Error("dropped without a policy, or a rule")
			}
			_, _ = p.Nft([]byte(text), true)
		}
	})
}

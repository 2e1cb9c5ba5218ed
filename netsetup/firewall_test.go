package netsetup

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/netsetup/firewall"
)

// What becomes of a packet.
const (
	accepts = "accept"
	drops   = "drop"
)

// Firewalls as people have them, and whether a guest's DHCP request comes through to a server of the host's. The kernel
// is asked too: the request is sent, and what is read out of the rules has to be what becomes of it.
func TestWhatIsReadOutOfAFirewallIsWhatItDoes(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	const nftHead = "table inet fw {\n chain in {\n  type filter hook input priority 0; policy "
	const ofFirewalld = `table inet firewalld {
 chain filter_INPUT {
  type filter hook input priority 10; policy accept;
  ct state { established, related } accept
  ct status dnat accept
  iifname "lo" accept
  ct state invalid drop
  jump filter_INPUT_ZONES
  reject with icmpx admin-prohibited
 }
 chain filter_INPUT_ZONES {
  KNOWN
  goto filter_IN_public
 }
 chain filter_IN_public { jump filter_IN_public_allow; meta l4proto { 1, 58 } accept; }
 chain filter_IN_public_allow { tcp dport 22 accept; ip6 daddr fe80::/64 udp dport 546 accept; }
 chain filter_IN_qlaunch { accept; }
}`
	const ofUfw = `*filter
:INPUT DROP [0:0]
:ufw-before-input - [0:0]
:ufw-not-local - [0:0]
:ufw-user-input - [0:0]
:ufw-after-input - [0:0]
:ufw-skip - [0:0]
-A INPUT -j ufw-before-input
-A INPUT -j ufw-after-input
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT
-A ufw-before-input -j ufw-not-local
-A ufw-before-input -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT
-A ufw-before-input -j ufw-user-input
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
-A ufw-not-local -m addrtype --dst-type BROADCAST -j RETURN
-A ufw-not-local -j DROP
-A ufw-after-input -p udp -m udp --dport 67 -j ufw-skip
-A ufw-skip -j DROP
COMMIT
`
	tests := []struct{ name, rules, want string }{
		{"none", "", accepts},
		{"a policy", nftHead + "drop; }\n}", drops},
		{"a policy, and the bridge let in", nftHead + "drop; iifname \"br*\" accept; }\n}", accepts},
		{"a policy, and another let in", nftHead + "drop; iifname != \"br0\" accept; tcp dport 67 accept; }\n}", drops},
		{"a policy, and ports let in", nftHead + "drop; iifname { lo, br0 } udp dport { 53, 60-70 } counter accept; }\n}", accepts},
		{"a map", nftHead + "drop; ct state vmap { established : accept, new : jump c }; }\n chain c { th dport vmap { 53 : accept, 67 : accept }; }\n}", accepts},
		{"a map that drops", nftHead + "accept; iifname vmap { \"lo\" : accept, \"br0\" : drop }; }\n}", drops},
		{"broadcasts", nftHead + "drop; fib daddr type broadcast meta pkttype broadcast accept; }\n}", accepts},
		{"by addresses", nftHead + "accept; ip saddr 0.0.0.0/8 ip daddr 255.255.255.255 ip protocol udp reject; }\n}", drops},
		{"not by another's", nftHead + "accept; ip saddr 10.0.0.0/8 drop; ip daddr { 10.0.0.1, 10.1.0.0/16 } drop; meta nfproto ipv6 drop; }\n}", accepts},
		{"what setup makes", ourRules(t, "closed"), accepts},
		{"what setup makes for guests that reach the host", ourRules(t, "open"), accepts},
		{"what setup makes, and a policy", ourRules(t, "closed") + nftHead + "drop; }\n}", drops},
		{"two at one hook", nftHead + "accept; accept; }\n chain late { type filter hook input priority 9; policy drop; }\n}", drops},
		{"firewalld", strings.Replace(ofFirewalld, "KNOWN", "", 1), drops},
		{"firewalld that knows the bridge", strings.Replace(ofFirewalld, "KNOWN", `iifname "br0" goto filter_IN_qlaunch`, 1), accepts},
		{"ufw", ofUfw, drops},
		{"ufw with our chain", strings.Replace(ofUfw, "-A INPUT", ":QLAUNCH-INPUT - [0:0]\n-A INPUT -j QLAUNCH-INPUT\n-A QLAUNCH-INPUT -i br0 -p udp -m udp --dport 67 -j ACCEPT\n-A INPUT", 1), accepts},
		{"ufw, and a rule of the user's", strings.Replace(ofUfw, "COMMIT", "-A ufw-user-input -p udp -m multiport --dports 53,67:68 -m comment --comment \"for -j guests\" -j ACCEPT\nCOMMIT", 1), accepts},
		{"an end that rejects", "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 10.0.0.0/8 -j ACCEPT\n-A INPUT -j REJECT --reject-with icmp-host-prohibited\nCOMMIT\n", drops},
		{"inversions", "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT ! -i eth+ -p udp ! --sport 1:67 -m conntrack ! --ctstate ESTABLISHED -j DROP\nCOMMIT\n", drops},
	}
	wire := newWire(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			loadFirewall(t, tt.rules)
			if got := readFirewall(t, firewall.DHCPRequest("br0")); (got != nil) != (tt.want == drops) || got != nil && got.Unsure {
				t.Errorf("read out of it: %+v, want %s", got, tt.want)
			}
			if got := wire.send(t, tt.want == accepts); got != tt.want {
				t.Errorf("the kernel: %s, want %s", got, tt.want)
			}
		})
	}
}

// ourRules are those of setup for br0 as the test has it; a test of package host writes them.
func ourRules(t *testing.T, name string) string {
	t.Helper()
	rules, err := os.ReadFile("testdata/rules/" + name + ".nft")
	must(t, err)
	return string(rules)
}

// Our own rules drop what does not come from the guests' subnet, and what does goes out: doctor has to see that they do not drop it.
func TestOurOwnRulesAreReadAsLettingGuestsOut(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	outgoing := func(subnet string) firewall.Packet {
		return firewall.Outgoing("br0", []netip.Prefix{netip.MustParsePrefix(subnet)}, []string{"eth0"})
	}
	for _, rules := range []string{"closed", "inbound", "isolate"} {
		loadFirewall(t, ourRules(t, rules))
		if got := readFirewall(t, outgoing("10.0.0.1/24")); got != nil {
			t.Errorf("%s: %+v", rules, got)
		}
	}
	loadFirewall(t, ourRules(t, "closed"))
	if got := readFirewall(t, outgoing("10.0.1.0/24")); got == nil {
		t.Errorf("another subnet: %+v", got)
	}
}

// loadFirewall puts rules in force, of nft's or of iptables-restore's, in the place of all others.
func loadFirewall(t *testing.T, rules string) {
	t.Helper()
	run := func(input, name string, args ...string) {
		path, err := CheckQuery{Root: "/"}.program(name)
		must(t, err)
		cmd := exec.CommandContext(t.Context(), path, args...)
		cmd.Stdin = strings.NewReader(input)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	run("flush ruleset\n", "nft", "-f", "-")
	if strings.HasPrefix(rules, "*filter") {
		run(rules, "iptables-nft-restore")
		return
	}
	run(rules, "nft", "-f", "-")
}

// readFirewall reads the rules as doctor does.
func readFirewall(t *testing.T, p firewall.Packet) *firewall.Drop {
	t.Helper()
	q := CheckQuery{Root: "/"}
	rules, err := q.run(t.Context(), "iptables-nft", "-S") // /etc/alternatives is not here
	must(t, err)
	if drop := p.IPTables(rules); drop != nil {
		return drop
	}
	list, err := q.run(t.Context(), "nft", "-j", "-t", "list", "ruleset")
	must(t, err)
	drop, err := p.Nft([]byte(list), true)
	must(t, err)
	return drop
}

// A wire leads to the bridge br0, on which a server listens.
type wire struct {
	server *net.UDPConn
	raw    int
	end    int // the index of the guest's end
}

func newWire(t *testing.T) *wire {
	t.Helper()
	br := addBridge(t, "br0", true)
	address(t, br, "10.0.0.1/24")
	addVeth(t, "port0", br.Attrs().Index)
	end, err := netlink.LinkByName("port0-peer")
	must(t, err)
	must(t, netlink.LinkSetUp(end))
	server, err := net.ListenUDP("udp4", &net.UDPAddr{Port: 67})
	must(t, err)
	raw, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(server.Close(), unix.Close(raw))) })
	return &wire{server, raw, end.Attrs().Index}
}

// send sends the request, for as long as it may take to come, and says whether it did: one is accepted when it has
// come, and dropped when none came for a while.
func (w *wire) send(t *testing.T, comes bool) string {
	t.Helper()
	while := 100 * time.Millisecond
	if comes {
		while = time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), while)
	defer cancel()
	buffer := make([]byte, 1500)
	for ctx.Err() == nil {
		must(t, unix.Sendto(w.raw, dhcpFrame(), 0, &unix.SockaddrLinklayer{Ifindex: w.end}))
		must(t, w.server.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		_, _, err := w.server.ReadFromUDP(buffer)
		if err == nil {
			return accepts
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	return drops
}

// dhcpFrame is a broadcast from port 68 of nobody's address to port 67.
func dhcpFrame() []byte {
	const header, payload = 20, 8 + 4
	ip := []byte{0x45, 0, 0, header + payload, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255}
	var sum uint32
	for i := 0; i < header; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	frame := []byte{255, 255, 255, 255, 255, 255, 0x52, 0x54, 0, 0, 0, 1, 8, 0}
	frame = append(frame, ip...)
	return append(frame, 0, 68, 0, 67, 0, payload, 0, 0, 'd', 'h', 'c', 'p')
}

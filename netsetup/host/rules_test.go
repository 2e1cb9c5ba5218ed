package host

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"
	"github.com/vishvananda/netlink"
)

// Frames as they are on the wire, from one guest to another. Those that only a router, a DHCP server or a switch sends are dropped.
func TestWhatOneGuestMaySendToAnother(t *testing.T) {
	if !onAHost(t) {
		return
	}
	setup(t, Request{})
	l := newLAN(t)
	ip4, ip6 := ethernet(l.a.mac, l.b.mac, layers.EthernetTypeIPv4), ethernet(l.a.mac, l.b.mac, layers.EthernetTypeIPv6)
	all4, all6 := ethernet(l.a.mac, everybody, layers.EthernetTypeIPv4), ethernet(l.a.mac, everybody, layers.EthernetTypeIPv6)
	arp1, arpAll := ethernet(l.a.mac, l.b.mac, layers.EthernetTypeARP), ethernet(l.a.mac, everybody, layers.EthernetTypeARP)
	const dot1q, dot1ad = 0x8100, 0x88a8
	const advertisement, redirect = layers.ICMPv6TypeRouterAdvertisement, layers.ICMPv6TypeRedirect
	for text, test := range map[string]struct {
		frame  []byte
		passes bool
	}{
		"a datagram":                     {datagram(t, ip4, aIP, bIP, 1, 2, "a datagram"), true},
		"a datagram of another subnet":   {datagram(t, ip4, "10.66.0.1", "10.66.0.2", 1, 2, "a datagram of another subnet"), true},
		"a datagram of IPv6":             {datagram6(t, ip6, "fe80::a", "fe80::b", 1, 2, "a datagram of IPv6"), true},
		"DHCP's request":                 {datagram(t, all4, "0.0.0.0", "255.255.255.255", 68, 67, "DHCP's request"), true},
		"DHCP's reply":                   {datagram(t, ip4, aIP, bIP, 67, 68, "DHCP's reply"), false},
		"DHCP's reply to all":            {datagram(t, all4, aIP, "255.255.255.255", 67, 68, "DHCP's reply to all"), false},
		"DHCP's reply from another port": {datagram(t, ip4, aIP, bIP, 1067, 68, "DHCP's reply from another port"), false},
		"DHCPv6's request":               {datagram6(t, all6, "fe80::a", "ff02::1:2", 546, 547, "DHCPv6's request"), true},
		"DHCPv6's reply":                 {datagram6(t, ip6, "fe80::a", "fe80::b", 547, 546, "DHCPv6's reply"), false},
		"DHCPv6's reply from another":    {datagram6(t, ip6, "fe80::a", "fe80::b", 1547, 546, "DHCPv6's reply from another"), false},
		"a ping":                         {icmp4(t, ip4, aIP, bIP, layers.ICMPv4TypeEchoRequest, "a ping"), true},
		"a redirect":                     {icmp4(t, ip4, aIP, bIP, layers.ICMPv4TypeRedirect, "a redirect"), false},
		"a solicitation":                 {icmp6(t, all6, layers.ICMPv6TypeNeighborSolicitation, false, "a solicitation"), true},
		"a router's advertisement":       {icmp6(t, all6, advertisement, false, "a router's advertisement"), false},
		"one behind a header":            {icmp6(t, all6, advertisement, true, "one behind a header"), false},
		"one in a VLAN":                  {tagged(icmp6(t, all6, advertisement, false, "one in a VLAN"), dot1q), false},
		"one in a provider's VLAN":       {tagged(icmp6(t, all6, advertisement, false, "one in a provider's VLAN"), dot1ad), false},
		"one in two VLANs":               {tagged(icmp6(t, all6, advertisement, false, "one in two VLANs"), dot1ad, dot1q), false},
		"a redirect of IPv6":             {icmp6(t, ip6, redirect, false, "a redirect of IPv6"), false},
		"a VLAN":                         {tagged(datagram(t, ip4, aIP, bIP, 1, 2, "a VLAN"), dot1q), false},
		"a provider's VLAN":              {tagged(datagram(t, ip4, aIP, bIP, 1, 2, "a provider's VLAN"), dot1ad), false},
		"a question for an address":      {arp(t, arpAll, layers.LinkTypeEthernet, layers.ARPRequest, aIP, bIP, "a question for an address"), true},
		"an answer":                      {arp(t, arp1, layers.LinkTypeEthernet, layers.ARPReply, aIP, bIP, "an answer"), true},
		"a question as the gateway":      {arp(t, arpAll, layers.LinkTypeEthernet, layers.ARPRequest, hostIP, bIP, "a question as the gateway"), false},
		"an answer as the gateway":       {arp(t, arp1, layers.LinkTypeEthernet, layers.ARPReply, hostIP, bIP, "an answer as the gateway"), false},
		"an announcement as the gateway": {arp(t, arpAll, layers.LinkTypeEthernet, layers.ARPRequest, hostIP, hostIP, "an announcement as the gateway"), false},
		"an answer in another form":      {arp(t, arp1, 6, layers.ARPReply, hostIP, bIP, "an answer in another form"), false},
		"a datagram as the gateway":      {datagram(t, ip4, hostIP, bIP, 53, 2, "a datagram as the gateway"), false},
	} {
		l.a.send(test.frame)
		l.a.send(datagram(t, ip4, aIP, bIP, 1, 2, last))
		if got := l.b.receives(text, last); got != test.passes {
			t.Errorf("%s: passes: %v, want %v", text, got, test.passes)
		}
	}
}

// What guests reach of the host: the host's own sockets, which are open on each of its addresses, receive it or not.
func TestWhatGuestsReachOfTheHost(t *testing.T) {
	if !onAHost(t) {
		return
	}
	setup(t, Request{})
	l := newLAN(t)
	service := l.service(7070)
	to4, to6 := ethernet(l.a.mac, l.host, layers.EthernetTypeIPv4), ethernet(l.a.mac, l.host, layers.EthernetTypeIPv6)
	const synAck = "\x1b\x9e\x13\x89" // from port 7070 to 5001
	for _, all := range []bool{false, true} {
		setup(t, Request{HostAccess: &all})
		for name, test := range map[string]struct {
			frame  []byte
			answer string
			passes bool
		}{
			"a ping":          {icmp4(t, to4, aIP, hostIP, layers.ICMPv4TypeEchoRequest, "a ping"), "a ping", true},
			"the time":        {icmp4(t, to4, aIP, hostIP, layers.ICMPv4TypeTimestampRequest, strings.Repeat("\x00", 12)), "\x0e\x00", all},
			"a connection":    {syn(t, to4, aIP, hostIP, 5001, 7070), synAck, all},
			"one of IPv6":     {syn(t, to6, a6, host6, 5001, 7070), synAck, all},
			"another address": {syn(t, to4, aIP, uplinkIP, 5001, 7070), synAck, all},
		} {
			l.a.send(test.frame)
			l.a.send(icmp4(t, to4, aIP, hostIP, layers.ICMPv4TypeEchoRequest, last))
			if got := l.a.receives(test.answer, last); got != test.passes {
				t.Errorf("host access %v: %s: passes: %v, want %v", all, name, got, test.passes)
			}
		}
		for text, frame := range map[string][]byte{
			"to the bridge":        datagram(t, to4, aIP, hostIP, 5001, 7070, "to the bridge"),
			"to all":               datagram(t, ethernet(l.a.mac, everybody, layers.EthernetTypeIPv4), aIP, "255.255.255.255", 5001, 7070, "to all"),
			"to the other address": datagram(t, to4, aIP, uplinkIP, 5001, 7070, "to the other address"),
			"by IPv6":              datagram6(t, to6, a6, host6, 5001, 7070, "by IPv6"),
		} {
			l.a.send(frame)
			l.a.send(icmp4(t, to4, aIP, hostIP, layers.ICMPv4TypeEchoRequest, last))
			l.a.receives("", last)
			if got := service.holds(text); got != all {
				t.Errorf("host access %v: a datagram %s: passes: %v", all, text, got)
			}
		}
		// What answers the host has always come through.
		must(t, service.send(aIP, 5001, "a question"))
		l.a.send(datagram(t, to4, aIP, hostIP, 5001, 7070, "an answer"))
		l.a.send(icmp4(t, to4, aIP, hostIP, layers.ICMPv4TypeEchoRequest, last))
		l.a.receives("", last)
		if !service.holds("an answer") {
			t.Errorf("host access %v: an answer does not come through", all)
		}
	}
}

// What passes between the guests' bridge and another network of the host.
func TestWhatPassesBetweenGuestsAndOtherNetworks(t *testing.T) {
	if !onAHost(t) {
		return
	}
	setup(t, Request{})
	l := newLAN(t)
	_, err := run(t.Context(), `table ip mine { chain c { type nat hook prerouting priority dstnat; iifname "lan0" udp dport 8080 dnat to `+aIP+`:80; }; }`, "nft", "-f", "-")
	must(t, err)
	in4, in6 := ethernet(l.neighbour.mac, l.uplink, layers.EthernetTypeIPv4), ethernet(l.neighbour.mac, l.uplink, layers.EthernetTypeIPv6)
	out4, out6 := ethernet(l.a.mac, l.host, layers.EthernetTypeIPv4), ethernet(l.a.mac, l.host, layers.EthernetTypeIPv6)
	for _, inbound := range []bool{false, true, false} {
		setup(t, Request{Inbound: &inbound})
		for _, test := range []struct {
			text   string
			frame  []byte
			out    bool // from the guest to the neighbour; else the other way
			passes bool
		}{
			{"out", datagram(t, out4, aIP, neighbourIP, 5001, 7, "out"), true, true},
			{"back in", datagram(t, in4, neighbourIP, uplinkIP, 7, 5001, "back in"), false, true},
			{"out by IPv6", datagram6(t, out6, a6, neighbour6, 5001, 7, "out by IPv6"), true, true},
			{"back by IPv6", datagram6(t, in6, neighbour6, a6, 7, 5001, "back by IPv6"), false, true},
			{"as nobody", datagram(t, out4, "203.0.113.7", neighbourIP, 5002, 7, "as nobody"), true, false},
			{"as the LAN", datagram(t, out4, "198.51.100.77", neighbourIP, 5003, 7, "as the LAN"), true, false},
			{"as the LAN by IPv6", datagram6(t, out6, "fd02::77", neighbour6, 5004, 7, "as the LAN by IPv6"), true, false},
			{"as nobody by IPv6", datagram6(t, out6, "fd03::1", neighbour6, 5005, 7, "as nobody by IPv6"), true, false},
			{"in", datagram(t, in4, neighbourIP, aIP, 5001, 22, "in"), false, inbound},
			{"in by IPv6", datagram6(t, in6, neighbour6, a6, 5001, 22, "in by IPv6"), false, inbound},
			{"to a port that root forwards", datagram(t, in4, neighbourIP, uplinkIP, 5001, 8080, "to a port that root forwards"), false, true},
		} {
			from, to, end := l.a, l.neighbour, neighbourIP
			if !test.out {
				from, to, end = l.neighbour, l.a, aIP
			}
			from.send(test.frame)
			l.fromHost(end, last)
			if got := to.receives(test.text, last); got != test.passes {
				t.Errorf("inbound %v: %s: passes: %v, want %v", inbound, test.text, got, test.passes)
			}
		}
		must(t, netlink.ConntrackTableFlush(netlink.ConntrackTable)) // what was let in once is let in on
	}
}

// A guest that is kept from others sends to the gateway what is for another guest: the host would forward it.
func TestIsolatedGuestsDoNotMeetThroughTheHost(t *testing.T) {
	if !onAHost(t) {
		return
	}
	setup(t, Request{})
	l := newLAN(t)
	for _, isolate := range []bool{false, true} {
		setup(t, Request{Isolate: &isolate})
		for text, frame := range map[string][]byte{
			"direct":              datagram(t, ethernet(l.a.mac, l.b.mac, layers.EthernetTypeIPv4), aIP, bIP, 1, 2, "direct"),
			"through the gateway": datagram(t, ethernet(l.a.mac, l.host, layers.EthernetTypeIPv4), aIP, bIP, 1, 3, "through the gateway"),
			"direct by IPv6":      datagram6(t, ethernet(l.a.mac, l.b.mac, layers.EthernetTypeIPv6), a6, b6, 1, 2, "direct by IPv6"),
			"the gateway's IPv6":  datagram6(t, ethernet(l.a.mac, l.host, layers.EthernetTypeIPv6), a6, b6, 1, 3, "the gateway's IPv6"),
		} {
			l.a.send(frame)
			l.fromHost(bIP, last)
			if got := l.b.receives(text, last); got == isolate {
				t.Errorf("isolate %v: %s: passes: %v", isolate, text, got)
			}
		}
	}
}

// A host that an earlier version has set up, without the rules of this one, gets them, and teardown leaves nothing of either.
func TestAHostThatAnEarlierVersionSetUpGetsTheRulesOfThisOne(t *testing.T) {
	if !onAHost(t) {
		return
	}
	before := snapshot(t)
	setup(t, Request{})
	ready := snapshot(t)
	j, err := readJournal()
	must(t, err)
	for name, rules := range map[string]string{
		"inet qlaunch": "",
		"bridge qlaunch": "table bridge qlaunch { chain forward { type filter hook forward priority filter; policy accept;\n" +
			"iifname \"tap*\" oifname \"tap*\" udp sport 67 udp dport 68 drop comment \"qlaunch-cea46c89\"\n}; }\n",
	} {
		must(t, setTable(t.Context(), name, rules))
	}
	inet := Item{Kind: KindTable, Name: "inet qlaunch"}
	j.Steps = slices.DeleteFunc(j.Steps, func(e entry) bool { return e.Item == inet })
	must(t, j.write())
	if steps := setup(t, Request{}); len(steps) != 2 {
		t.Errorf("an upgrade takes %v", steps)
	}
	if steps := setup(t, Request{}); len(steps) != 0 {
		t.Errorf("after an upgrade: %v", steps)
	}
	sorted := func(s string) string { return strings.Join(slices.Sorted(strings.Lines(s)), "") } // the journal and nft keep the order of the steps
	if diff := cmp.Diff(sorted(withoutJournal(ready)), sorted(withoutJournal(snapshot(t)))); diff != "" {
		t.Errorf("(-new +upgraded):\n%s", diff)
	}
	teardown(t)
	same(t, before)
}

// withoutJournal is a snapshot without the sum of the journal, which tells in which order things were done.
func withoutJournal(snapshot string) string {
	lines := strings.SplitAfter(snapshot, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, journalPath) }), "")
}

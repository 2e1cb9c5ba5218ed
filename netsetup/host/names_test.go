package host

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
)

// lease has a guest ask the real dnsmasq for its address under a name, as a client does that had the address before: RFC 2131, 4.3.2. fqdn
// is sent too, where it is not empty, as RFC 4702 has it.
func (l *lan) lease(guest nic, ip, name, fqdn string) {
	l.Helper()
	l.leases++
	id := 0x716c_0000 + l.leases
	options := layers.DHCPOptions{
		layers.NewDHCPOption(layers.DHCPOptMessageType, []byte{byte(layers.DHCPMsgTypeRequest)}),
		layers.NewDHCPOption(layers.DHCPOptRequestIP, net.ParseIP(ip).To4()),
	}
	if name != "" {
		options = append(options, layers.NewDHCPOption(layers.DHCPOptHostname, []byte(name)))
	}
	if fqdn != "" {
		options = append(options, layers.NewDHCPOption(81, append([]byte{0, 0, 0}, fqdn...)))
	}
	request := &layers.DHCPv4{Operation: layers.DHCPOpRequest, HardwareType: layers.LinkTypeEthernet, HardwareLen: 6, Xid: id, Flags: 0x8000,
		ClientHWAddr: guest.mac, Options: options}
	from := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IPv4zero, DstIP: net.IPv4bcast}
	udp := &layers.UDP{SrcPort: 68, DstPort: 67}
	must(l.T, udp.SetNetworkLayerForChecksum(from))
	guest.send(frame(l.T, ethernet(guest.mac, everybody, layers.EthernetTypeIPv4), from, udp, request))
	ack := string(binary.BigEndian.AppendUint32(nil, id))
	guest.receives(ack, ack)
}

// lookup asks the host's dnsmasq for a name as it stands. There is none: the zero address.
func (l *lan) lookup(name string) netip.Addr {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), 10*time.Second)
	defer cancel()
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, hostIP+":53")
	}}
	addrs, err := r.LookupNetIP(ctx, "ip4", name+".")
	if missing, ok := errors.AsType[*net.DNSError](err); ok && missing.IsNotFound {
		return netip.Addr{}
	}
	must(l.T, err)
	return addrs[0]
}

// as is a guest that begins anew: with another MAC, and an address of its own.
func (l *lan) as(n byte) (guest nic, ip string) {
	guest = l.a
	guest.mac = net.HardwareAddr{0x52, 0x54, 0, 0, 1, n}
	return guest, netip.AddrFrom4([4]byte{192, 168, 123, n}).String()
}

// forms are the ways in which a client can say its name: alone, in capitals, as a part of the domain, and by the option for that.
func forms(name string) [][2]string {
	const domain = ".qlaunch.internal"
	return [][2]string{{name, ""}, {strings.ToUpper(name), ""}, {name + ".", ""}, {name + domain, ""},
		{"", name}, {"", name + domain}, {"", strings.ToUpper(name)}, {"good", name}, {name, name}}
}

func TestNamesThatNoGuestGets(t *testing.T) {
	if !onAHost(t) {
		return
	}
	setup(t, Request{})
	l := newLAN(t)
	n := byte(20)
	for _, name := range []string{"wpad", "isatap", "localhost", "localhost6", "localdomain", "loopback", "broadcasthost", "ip6-localhost", "ip6-allrouters",
		"gateway", "_gateway", "router", "host"} {
		for _, form := range forms(name) {
			guest, ip := l.as(n)
			n++
			l.lease(guest, ip, form[0], form[1])
			for _, asked := range []string{name, name + ".qlaunch.internal"} {
				if got := l.lookup(asked); got.IsValid() && got != netip.AddrFrom4([4]byte{127, 0, 0, 1}) {
					t.Errorf("as %q and %q: %s is %s", form[0], form[1], asked, got)
				}
			}
		}
	}
	for i, name := range []string{"good", "hosts", "wpad2", "ip6"} { // not what only looks like one
		guest, ip := l.as(n + byte(i))
		l.lease(guest, ip, name, "")
		if got := l.lookup(name + ".qlaunch.internal"); got.String() != ip {
			t.Errorf("%s is %s", name, got)
		}
	}
}

// A name that is kept for one guest is not another's before the owner comes, while it is there, or after it has called itself otherwise.
func TestANameThatIsKeptForAGuestIsNoOthers(t *testing.T) {
	if !onAHost(t) {
		return
	}
	setup(t, Request{})
	l := newLAN(t)
	thief, ip := l.as(20)
	l.lease(thief, ip, "web", "")
	if got := l.lookup("web"); got.String() != ip {
		t.Fatalf("a name that is not kept is not given: %s", got)
	}
	setup(t, Request{Names: []Name{{Name: "web", MAC: l.b.mac.String()}}})
	// dnsmasq takes no name back that a lease has already; the owner's coming does, below.
	l.lease(thief, ip, "web", "")
	n := byte(30)
	for _, form := range forms("web") {
		guest, ip := l.as(n)
		n++
		l.lease(guest, ip, form[0], form[1])
		if got := l.lookup("web"); got.String() == ip {
			t.Errorf("before its owner: as %q and %q it is had", form[0], form[1])
		}
	}
	for _, name := range []string{"", "web", "WEB", "other", "web.qlaunch.internal"} {
		l.lease(l.b, bIP, name, "")
		guest, ip := l.as(n)
		n++
		l.lease(guest, ip, "web", "web.qlaunch.internal")
		for _, asked := range []string{"web", "web.qlaunch.internal"} {
			if got := l.lookup(asked); got.String() != bIP {
				t.Errorf("its owner calls itself %q: %s is %s", name, asked, got)
			}
		}
	}
	if steps := setup(t, Request{}); len(steps) > 0 {
		t.Errorf("a setup without names forgets them: %v", steps)
	}
	setup(t, Request{Names: []Name{}})
	guest, ip := l.as(n)
	l.lease(guest, ip, "web", "")
	if got := l.lookup("web"); got.String() != ip {
		t.Errorf("a name that was given back is not given: %s", got)
	}
}

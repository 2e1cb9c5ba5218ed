package host

import (
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// frame is layers as they stand on the wire, with their lengths and checksums.
func frame(t *testing.T, parts ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	must(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...))
	return b.Bytes()
}

func ethernet(from, to net.HardwareAddr, kind layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: from, DstMAC: to, EthernetType: kind}
}

// tagged is a frame with VLAN tags in it, the outermost first.
func tagged(inner []byte, tags ...uint16) []byte {
	out := append([]byte{}, inner[:12]...)
	for _, tag := range tags {
		out = append(out, byte(tag>>8), byte(tag), 0, 5) // VLAN 5
	}
	return append(out, inner[12:]...)
}

var everybody = net.HardwareAddr{255, 255, 255, 255, 255, 255}

// datagram is UDP over IPv4.
func datagram(t *testing.T, link *layers.Ethernet, from, to string, sport, dport uint16, text string) []byte {
	t.Helper()
	ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.ParseIP(from), DstIP: net.ParseIP(to)}
	udp := &layers.UDP{SrcPort: layers.UDPPort(sport), DstPort: layers.UDPPort(dport)}
	must(t, udp.SetNetworkLayerForChecksum(ip))
	return frame(t, link, ip, udp, gopacket.Payload(text))
}

// datagram6 is UDP over IPv6.
func datagram6(t *testing.T, link *layers.Ethernet, from, to string, sport, dport uint16, text string) []byte {
	t.Helper()
	ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP, SrcIP: net.ParseIP(from), DstIP: net.ParseIP(to)}
	udp := &layers.UDP{SrcPort: layers.UDPPort(sport), DstPort: layers.UDPPort(dport)}
	must(t, udp.SetNetworkLayerForChecksum(ip))
	return frame(t, link, ip, udp, gopacket.Payload(text))
}

// icmp6 is a message of ICMPv6 of which nothing but its type counts. behind is an extension header before it.
func icmp6(t *testing.T, link *layers.Ethernet, kind uint8, behind bool, text string) []byte {
	t.Helper()
	ip := &layers.IPv6{Version: 6, HopLimit: 255, NextHeader: layers.IPProtocolICMPv6, SrcIP: net.ParseIP("fe80::a"), DstIP: net.ParseIP("ff02::1")}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(kind, 0)}
	must(t, icmp.SetNetworkLayerForChecksum(ip))
	body := append(make([]byte, 12), text...)
	if !behind {
		return frame(t, link, ip, icmp, gopacket.Payload(body))
	}
	message := frame(t, icmp, gopacket.Payload(body))
	ip.NextHeader = layers.IPProtocolIPv6Destination
	options := []byte{byte(layers.IPProtocolICMPv6), 0, 1, 4, 0, 0, 0, 0} // RFC 8200, 4.6: padding
	return frame(t, link, ip, gopacket.Payload(append(options, message...)))
}

// icmp4 is a message of ICMP.
func icmp4(t *testing.T, link *layers.Ethernet, from, to string, kind uint8, text string) []byte {
	t.Helper()
	ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: net.ParseIP(from), DstIP: net.ParseIP(to)}
	return frame(t, link, ip, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(kind, 0)}, gopacket.Payload(text))
}

// arp says that an address is at the MAC that the frame comes from. The kernel believes an ARP for 802 networks, hardware type 6, as well.
func arp(t *testing.T, link *layers.Ethernet, hardware layers.LinkType, operation uint16, sender, target, text string) []byte {
	t.Helper()
	return frame(t, link, &layers.ARP{AddrType: hardware, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: operation,
		SourceHwAddress: link.SrcMAC, SourceProtAddress: net.ParseIP(sender).To4(),
		DstHwAddress: make([]byte, 6), DstProtAddress: net.ParseIP(target).To4()}, gopacket.Payload(text))
}

// syn begins a connection, over the version of IP that the link's frame is of.
func syn(t *testing.T, link *layers.Ethernet, from, to string, sport, dport uint16) []byte {
	t.Helper()
	tcp := &layers.TCP{SrcPort: layers.TCPPort(sport), DstPort: layers.TCPPort(dport), SYN: true, Window: 1024, Seq: 1}
	if link.EthernetType == layers.EthernetTypeIPv6 {
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: net.ParseIP(from), DstIP: net.ParseIP(to)}
		must(t, tcp.SetNetworkLayerForChecksum(ip))
		return frame(t, link, ip, tcp)
	}
	ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: net.ParseIP(from), DstIP: net.ParseIP(to)}
	must(t, tcp.SetNetworkLayerForChecksum(ip))
	return frame(t, link, ip, tcp)
}

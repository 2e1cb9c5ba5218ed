package world

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
)

// Bridge is a bridge of the world. Its text is NAME[=ADDR/LEN][,down].
type Bridge struct {
	Name string
	Addr netip.Prefix // the host's address on it, and the network that dnsmasq serves; the zero value is none
	Down bool
}

// standardAddr is what libvirt's default network has.
func standardAddr() netip.Prefix { return netip.MustParsePrefix("192.168.122.1/24") }

// UnmarshalText reads NAME[=ADDR/LEN][,down].
func (b *Bridge) UnmarshalText(text []byte) error {
	rest, state, found := strings.Cut(string(text), ",")
	if found && state != "down" {
		return fmt.Errorf("%q: only \"down\" can follow the comma", text)
	}
	*b = Bridge{Down: found}
	name, addr, found := strings.Cut(rest, "=")
	if b.Name = name; name == "" {
		return fmt.Errorf("%q: a bridge needs a name", text)
	}
	if !found {
		return nil
	}
	prefix, err := netip.ParsePrefix(addr)
	if err != nil {
		return err
	}
	if !prefix.Addr().Is4() || prefix.Bits() > 29 {
		return fmt.Errorf("%q: must be an IPv4 address with a length of at most 29", addr)
	}
	b.Addr = prefix
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (b Bridge) MarshalText() ([]byte, error) {
	text := b.Name
	if b.Addr.IsValid() {
		text += "=" + b.Addr.String()
	}
	if b.Down {
		text += ",down"
	}
	return []byte(text), nil
}

// bridges makes them, after the loopback device.
func (m *maker) bridges() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	for i, b := range m.Bridges {
		if err := b.create(i); err != nil {
			return fmt.Errorf("%s: %w", b.Name, err)
		}
	}
	return nil
}

// create makes the bridge in this network namespace; index tells it from the others.
func (b Bridge) create(index int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = b.Name
	// An address of its own: otherwise it takes a tap's, and changes with it.
	attrs.HardwareAddr = net.HardwareAddr{0x52, 0x54, 0x00, 0x71, 0x6c, byte(index)}
	link := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(link); err != nil {
		return err
	}
	if b.Addr.IsValid() {
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: b.Addr.Addr().AsSlice(), Mask: net.CIDRMask(b.Addr.Bits(), 32)}}
		if err := netlink.AddrReplace(link, addr); err != nil {
			return err
		}
	}
	if b.Down {
		return nil
	}
	return netlink.LinkSetUp(link)
}

package netsetup

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Bridge is a bridge of the host in its present state, from the kernel.
type Bridge struct {
	Name  string
	Index int              // the interface index
	MAC   net.HardwareAddr // the bridge's own address
	Up    bool             // IFF_UP, which does not depend on the carrier of a port
	Addrs []netip.Prefix   // its addresses of both families, with prefix lengths
	Ports []string         // names of the links enslaved to it, sorted
	MTU   int
	STP   STP

	Uplinks []string // the ports that lead, or may lead, out of this host: hardware, a VLAN, a bond
}

// MaxName is the longest name of a link in bytes: IFNAMSIZ without its NUL, netdevice(7).
const MaxName = unix.IFNAMSIZ - 1

// Bridges returns the bridges in this process's network namespace, sorted by name. The absence of bridges is no error.
func Bridges() ([]Bridge, error) {
	links, err := again(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	var bridges []Bridge
	for _, link := range links {
		if link.Type() != kindBridge {
			continue
		}
		b, err := describe(link, links)
		if err != nil {
			return nil, err
		}
		bridges = append(bridges, b)
	}
	slices.SortFunc(bridges, func(a, b Bridge) int { return cmp.Compare(a.Name, b.Name) })
	return bridges, nil
}

// FindBridge returns the bridge of that name. The error is a [*BridgeError] with [ErrNoBridge] when no link has the
// name, and with [ErrNotBridge] when the link is of another kind.
func FindBridge(name string) (Bridge, error) {
	links, err := again(netlink.LinkList)
	if err != nil {
		return Bridge{}, fmt.Errorf("bridge %q: list links: %w", name, err)
	}
	i := slices.IndexFunc(links, func(l netlink.Link) bool { return l.Attrs().Name == name })
	if i < 0 {
		return Bridge{}, &BridgeError{BridgeFailure(name, ErrNoBridge, ""), Target{Bridge: name}}
	}
	if kind := links[i].Type(); kind != kindBridge {
		return Bridge{}, &BridgeError{BridgeFailure(name, ErrNotBridge, "a link of type "+kind), Target{Bridge: name}}
	}
	return describe(links[i], links)
}

// kindBridge is the IFLA_INFO_KIND of a kernel bridge, the only kind that the helper's SIOCBRADDIF works on.
const kindBridge = "bridge"

// describe returns a bridge with its addresses and with its ports, which it takes from links.
func describe(link netlink.Link, links []netlink.Link) (Bridge, error) {
	attrs := link.Attrs()
	b := Bridge{Name: attrs.Name, Index: attrs.Index, MAC: attrs.HardwareAddr, Up: attrs.Flags&net.FlagUp != 0, MTU: attrs.MTU}
	for _, l := range links {
		if l.Attrs().MasterIndex == attrs.Index {
			b.Ports = append(b.Ports, l.Attrs().Name)
			if leadsOut(l) {
				b.Uplinks = append(b.Uplinks, l.Attrs().Name)
			}
		}
	}
	slices.Sort(b.Ports)
	slices.Sort(b.Uplinks)
	b.STP, _ = readSTP(attrs.Index) // fails only if the bridge was removed meanwhile
	addrs, err := again(func() ([]netlink.Addr, error) { return netlink.AddrList(link, netlink.FAMILY_ALL) })
	if err != nil {
		return Bridge{}, fmt.Errorf("bridge %q: list addresses: %w", b.Name, err)
	}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			ones, _ := a.Mask.Size()
			b.Addrs = append(b.Addrs, netip.PrefixFrom(ip.Unmap(), ones))
		}
	}
	return b, nil
}

// leadsOut reports whether a link is hardware or is based on it, unlike a tap or the host's end of a container's link.
// The library calls a link without a kind, as all hardware is, a device.
func leadsOut(l netlink.Link) bool {
	return slices.Contains([]string{"device", "vlan", "bond", "team"}, l.Type())
}

// again repeats a netlink dump that was interrupted because a link appeared or disappeared (NLM_F_DUMP_INTR), since
// the partial result could lack the bridge. If every attempt is interrupted, it returns the error.
func again[T any](dump func() ([]T, error)) ([]T, error) {
	const rounds = 10
	var list []T
	var err error
	for range rounds {
		if list, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return list, err
}

// upError returns [ErrBridgeDown] for a bridge that is down. own marks a bridge of our own, which has another cure.
func upError(b Bridge, own bool) error {
	if b.Up {
		return nil
	}
	return &BridgeError{BridgeFailure(b.Name, ErrBridgeDown, ""), Target{Bridge: b.Name, Own: own}}
}

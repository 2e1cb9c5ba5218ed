package netsetup

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// A BridgeState is what `net setup` settles of a bridge of our own.
type BridgeState struct {
	Up       bool
	MAC      net.HardwareAddr // its own: otherwise it has that of one of its taps, and changes when that goes
	Addrs    []netip.Prefix   // IPv4, each with the length of its subnet
	AcceptRA string           // net.ipv6.conf.NAME.accept_ra; "0": a guest cannot give the host an IPv6 route
}

// String is the state of a [KindBridge] item.
func (b BridgeState) String() string {
	updown := "down"
	if b.Up {
		updown = "up"
	}
	lines := []string{"link " + updown, "lladdr " + b.MAC.String(), "accept_ra " + b.AcceptRA}
	for _, a := range b.Addrs {
		lines = append(lines, "address "+a.String())
	}
	return strings.Join(lines, "\n")
}

// ParseBridgeState reads what [BridgeState.String] wrote.
func ParseBridgeState(state string) (BridgeState, error) {
	var b BridgeState
	for line := range strings.Lines(state) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		var err error
		switch key {
		case "link":
			b.Up = value == "up"
		case "lladdr":
			b.MAC, err = net.ParseMAC(value)
		case "accept_ra":
			b.AcceptRA = value
		case "address":
			var a netip.Prefix
			a, err = netip.ParsePrefix(value)
			b.Addrs = append(b.Addrs, a)
		default:
			err = fmt.Errorf("%q: not known", key)
		}
		if err != nil {
			return b, fmt.Errorf("state of a bridge: %w", err)
		}
	}
	return b, nil
}

// bridgeMAC is the address of our own bridge: stable, and another one on each host, so that two hosts' bridges can
// meet on one LAN. The vendor's part is QEMU's, as the guests' is.
func bridgeMAC(machineID, bridge string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(machineID + "/bridge/" + bridge))
	return net.HardwareAddr{0x52, 0x54, 0x00, sum[0], sum[1], sum[2]}
}

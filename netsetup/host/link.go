package host

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/qlaunch/qlaunch/netsetup"
)

// sysctlPath is where the kernel has a sysctl, sysctl(8): an interface's name may itself have dots.
func sysctlPath(words ...string) string { return "/proc/sys/" + strings.Join(words, "/") }

func lookSysctl(name string) (string, error) {
	return readSysctl(sysctlPath(strings.Split(name, ".")...))
}

func setSysctl(name, value string) error {
	return os.WriteFile(sysctlPath(strings.Split(name, ".")...), []byte(value+"\n"), 0o644)
}

func readSysctl(path string) (string, error) {
	data, err := os.ReadFile(path)
	return strings.TrimSpace(string(data)), err
}

func acceptRA(bridge string) string { return sysctlPath("net", "ipv6", "conf", bridge, "accept_ra") }

// lookBridge is a [bridgeState].
func lookBridge(name string) (string, error) {
	b, err := netsetup.FindBridge(name)
	if errors.Is(err, netsetup.ErrNoBridge) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	state := bridgeState{Up: b.Up, MAC: b.MAC, Addrs: only4(b.Addrs)}
	if state.AcceptRA, err = readSysctl(acceptRA(name)); errors.Is(err, fs.ErrNotExist) {
		state.AcceptRA, err = "0", nil // a kernel without IPv6
	}
	return state.String(), err
}

func only4(addrs []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Prefix) bool { return !a.Addr().Is4() })
}

// setBridge makes the bridge what its state says; the empty state removes it. Its ports stay ports.
func setBridge(name, state string) error {
	if state == "" {
		return removeLink(name)
	}
	want, err := parseBridgeState(state)
	if err != nil {
		return err
	}
	link, err := bridgeLink(name, want.MAC)
	if err != nil {
		return err
	}
	if !bytes.Equal(link.Attrs().HardwareAddr, want.MAC) {
		if err := netlink.LinkSetHardwareAddr(link, want.MAC); err != nil {
			return err
		}
	}
	// Before the link is up: no router is to be heard in between.
	if err := os.WriteFile(acceptRA(name), []byte(want.AcceptRA+"\n"), 0o644); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := setAddrs(link, want.Addrs); err != nil {
		return err
	}
	if want.Up {
		return netlink.LinkSetUp(link)
	}
	return netlink.LinkSetDown(link)
}

// bridgeLink is the bridge of that name, made when there is none.
func bridgeLink(name string, mac net.HardwareAddr) (netlink.Link, error) {
	link, err := netlink.LinkByName(name)
	if _, missing := errors.AsType[netlink.LinkNotFoundError](err); !missing {
		return link, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = name, mac
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return nil, err
	}
	return netlink.LinkByName(name)
}

// setAddrs gives a link these IPv4 addresses and no others.
func setAddrs(link netlink.Link, want []netip.Prefix) error {
	have, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, a := range have {
		if p, err := netip.ParsePrefix(a.IPNet.String()); err == nil && !slices.Contains(want, p) {
			if err := netlink.AddrDel(link, &a); err != nil {
				return err
			}
		}
	}
	for _, p := range want {
		a, err := netlink.ParseAddr(p.String())
		if err != nil {
			return err
		}
		if err := netlink.AddrReplace(link, a); err != nil {
			return err
		}
	}
	return nil
}

func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if _, missing := errors.AsType[netlink.LinkNotFoundError](err); missing {
		return nil
	}
	if err != nil {
		return err
	}
	return netlink.LinkDel(link)
}

// A bridgeState is what `net setup` sets of a bridge of our own.
type bridgeState struct {
	Up       bool
	MAC      net.HardwareAddr // its own: otherwise it has that of one of its taps, and changes when that goes
	Addrs    []netip.Prefix   // IPv4, each with the length of its subnet
	AcceptRA string           // net.ipv6.conf.NAME.accept_ra; "0": a guest cannot give the host an IPv6 route
}

// String is the state of a [KindBridge] item.
func (b bridgeState) String() string {
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

// parseBridgeState reads what [bridgeState.String] wrote.
func parseBridgeState(state string) (bridgeState, error) {
	var b bridgeState
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

package netsetup

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Impostor tells whether the MAC of a guest is another's on its bridge: whether the last frame with it came in through
// another port than a tap of the guest's own QEMU. The error is a [*BridgeError] of [ErrMACTaken]. The bridge knows one port for a
// MAC, the last: of two that both send, each is seen at times. What cannot be looked at is no impostor.
func Impostor(bridge string, mac net.HardwareAddr, pid int) error {
	port, own := "", Taps(pid)
	if link, err := netlink.LinkByName(bridge); err == nil {
		port, _ = seenOn(link.Attrs().Index, mac)
	}
	if port == "" || len(own) == 0 || slices.Contains(own, port) {
		return nil
	}
	return &BridgeError{Failure{What: fmt.Sprintf("bridge %q", bridge), Cause: ErrMACTaken, Detail: seenNotOn(mac, port, own)}, Target{Bridge: bridge}}
}

func seenNotOn(mac net.HardwareAddr, port string, own []string) string {
	text := fmt.Sprintf("%s was seen on %s", mac, port)
	if len(own) > 0 {
		text += ", and its own is on " + strings.Join(own, ", ")
	}
	return text
}

// seenOn is the port of a bridge through which the last frame from a MAC came in, as its forwarding table has it; empty when none did.
func seenOn(bridge int, mac net.HardwareAddr) (port string, err error) {
	entries, err := again(func() ([]netlink.Neigh, error) { return netlink.NeighList(0, unix.AF_BRIDGE) })
	if err != nil {
		return "", fmt.Errorf("list forwarding table: %w", err)
	}
	for _, e := range entries {
		if e.MasterIndex != bridge || !bytes.Equal(e.HardwareAddr, mac) {
			continue
		}
		if link, err := netlink.LinkByIndex(e.LinkIndex); err == nil {
			return link.Attrs().Name, nil
		}
		return fmt.Sprintf("link %d", e.LinkIndex), nil
	}
	return "", nil
}

// Taps are the taps that a process holds: each open file of /dev/net/tun has its interface's name in fdinfo,
// as "iff:", since Linux 3.13 (drivers/net/tun.c, tun_chr_show_fdinfo). Of a process that cannot be looked at there are none.
func Taps(pid int) []string {
	infos, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid)) // the pattern is no malformed one
	var taps []string
	for _, info := range infos {
		data, err := os.ReadFile(info)
		if err != nil {
			continue // closed meanwhile
		}
		if _, rest, is := strings.Cut(string(data), "iff:\t"); is {
			tap, _, _ := strings.Cut(rest, "\n")
			taps = append(taps, tap)
		}
	}
	return taps
}

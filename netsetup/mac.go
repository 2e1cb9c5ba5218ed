package netsetup

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// DuplicateMAC checks whether another machine on the bridge uses a guest's MAC: whether the last frame from this MAC
// came in through a port that is not a tap of the guest's QEMU, whose process ID is pid. The error is a [*BridgeError]
// with [ErrMACTaken]. The bridge keeps only the last port of a MAC, so if two machines send, either may be seen. If
// the check cannot be made, the error is nil.
func DuplicateMAC(bridge string, mac net.HardwareAddr, pid int) error {
	port, own := "", Taps(pid)
	if link, err := netlink.LinkByName(bridge); err == nil {
		port, _ = seenOn(link.Attrs().Index, mac)
	}
	if port == "" || len(own) == 0 || slices.Contains(own, port) {
		return nil
	}
	return &BridgeError{BridgeFailure(bridge, ErrMACTaken, seenNotOn(mac, port, own)), Target{Bridge: bridge}}
}

func seenNotOn(mac net.HardwareAddr, port string, own []string) string {
	text := fmt.Sprintf("%s was seen on %s", mac, port)
	if len(own) > 0 {
		text += ", and its own is on " + strings.Join(own, ", ")
	}
	return text
}

// seenOn returns the port through which the last frame from a MAC came in, from the bridge's forwarding table, or ""
// if the table lacks the MAC.
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

// checkMACs looks for a guest's MACs in the bridge's forwarding table. Another machine uses the MAC if a frame from it
// came in during the last minutes through a port that is not a tap of the guest's QEMU.
func checkMACs(_ context.Context, q CheckQuery, r *Report) Result {
	own := Taps(q.PID)
	switch {
	case r.Bridge.Name == "":
		return skipped("no bridge")
	case len(q.MACs) == 0:
		return skipped("no VM given, so no MAC to check")
	case q.PID != 0 && len(own) == 0:
		return skipped(fmt.Sprintf("the taps of pid %d: not readable", q.PID))
	}
	for _, mac := range q.MACs {
		port, err := seenOn(r.Bridge.Index, mac)
		if err != nil {
			return warn(err)
		}
		if port != "" && !slices.Contains(own, port) {
			return warn(r.wrong(ErrMACTaken, seenNotOn(mac, port, own)))
		}
	}
	return ok("no other port uses this MAC")
}

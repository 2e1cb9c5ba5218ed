package netsetup

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// An STP is a bridge's part in the spanning tree protocol, IEEE 802.1D. The zero value: it takes none.
type STP struct {
	On           bool
	ForwardDelay time.Duration // a new port spends it listening, and again learning, before it forwards a frame
}

// A PortState is what a bridge's port does with frames: linux/if_bridge.h, BR_STATE_*.
type PortState uint8

// The states of a port.
const (
	PortDisabled PortState = iota
	PortListening
	PortLearning
	PortForwarding
	PortBlocking
)

func (s PortState) String() string {
	if s > PortBlocking {
		return fmt.Sprintf("state %d", uint8(s))
	}
	return [...]string{"disabled", "listening", "learning", "forwarding", "blocking"}[s]
}

// The kernel counts these times in USER_HZ, of which a second has 100 on every architecture that Go runs on.
const userTick = 10 * time.Millisecond

// readSTP asks for a bridge's part in the protocol.
func readSTP(bridge int) (STP, error) {
	attrs, err := linkInfo(bridge, nl.IFLA_INFO_DATA)
	if err != nil {
		return STP{}, err
	}
	var stp STP
	for _, a := range attrs {
		switch {
		case a.Attr.Type == nl.IFLA_BR_STP_STATE && len(a.Value) >= 4:
			stp.On = binary.NativeEndian.Uint32(a.Value) != 0
		case a.Attr.Type == nl.IFLA_BR_FORWARD_DELAY && len(a.Value) >= 4:
			stp.ForwardDelay = time.Duration(binary.NativeEndian.Uint32(a.Value)) * userTick
		}
	}
	if !stp.On {
		return STP{}, nil
	}
	return stp, nil
}

// readPort asks for the state of a bridge's port, and for how long that lasts, where the bridge has set a time.
func readPort(port int) (PortState, time.Duration, error) {
	attrs, err := linkInfo(port, nl.IFLA_INFO_SLAVE_DATA)
	if err != nil {
		return 0, 0, err
	}
	state, left := PortForwarding, time.Duration(0)
	for _, a := range attrs {
		switch {
		case a.Attr.Type == nl.IFLA_BRPORT_STATE && len(a.Value) >= 1:
			state = PortState(a.Value[0])
		case a.Attr.Type == nl.IFLA_BRPORT_FORWARD_DELAY_TIMER && len(a.Value) >= 8:
			left = time.Duration(binary.NativeEndian.Uint64(a.Value)) * userTick
		}
	}
	return state, left, nil
}

// linkInfo are the attributes of a link that are particular to its kind, or to its master's (rtnetlink(7),
// IFLA_LINKINFO). netlink's own reading leaves those of the spanning tree out.
func linkInfo(index int, which uint16) ([]syscall.NetlinkRouteAttr, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(index)
	request.AddData(message)
	replies, err := request.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil {
		return nil, fmt.Errorf("link %d: %w", index, err)
	}
	var found []syscall.NetlinkRouteAttr
	for _, reply := range replies {
		if len(reply) < unix.SizeofIfInfomsg {
			continue
		}
		info, err := nested(reply[unix.SizeofIfInfomsg:], unix.IFLA_LINKINFO)
		if err != nil {
			return nil, err
		}
		for _, a := range info {
			if a.Attr.Type&^nlaFlags != which {
				continue
			}
			attrs, err := nl.ParseRouteAttr(a.Value)
			if err != nil {
				return nil, err
			}
			found = append(found, attrs...)
		}
	}
	return found, nil
}

// nlaFlags are the bits of an attribute's type that say how it is coded: linux/netlink.h, NLA_TYPE_MASK.
const nlaFlags = unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER

// nested are the attributes inside one of a message's.
func nested(message []byte, kind uint16) ([]syscall.NetlinkRouteAttr, error) {
	attrs, err := nl.ParseRouteAttr(message)
	if err != nil {
		return nil, err
	}
	for _, a := range attrs {
		if a.Attr.Type&^nlaFlags == kind {
			return nl.ParseRouteAttr(a.Value)
		}
	}
	return nil, nil
}

// A port is a link as a port of a bridge, or of none.
type port struct {
	name   string
	index  int
	master int // 0: of no bridge
}

// tapPorts are the taps of a process as links. Those that are gone meanwhile, or in another network namespace, are left
// out.
func tapPorts(pid int) []port {
	var found []port
	for _, name := range Taps(pid) {
		link, err := netlink.LinkByName(name)
		if err != nil || link.Type() != "tuntap" {
			continue
		}
		found = append(found, port{name, link.Attrs().Index, link.Attrs().MasterIndex})
	}
	return found
}

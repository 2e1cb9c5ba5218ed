package netsetup

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/netsetup/firewall"
)

// Silence says why nothing is heard of a guest that runs, as far as the host's links show it: the bridge is gone or
// down, a tap of the guest's is no port of it or lets no frames through, or the guest sends under another MAC. The
// query has the bridge, the MACs that the guest has on it, and QEMU's pid. The error has a [Failure]; nil: nothing of
// that kind is seen.
func Silence(q CheckQuery) error {
	b, err := FindBridge(q.Bridge)
	if err == nil {
		err = upError(b, own(cmp.Or(q.Root, "/"), b.Name))
	}
	if err != nil {
		return err
	}
	taps := tapPorts(q.PID)
	for _, look := range []func(Bridge, []port) error{q.detached, q.held, q.renamed} {
		if err := look(b, taps); err != nil {
			return err
		}
	}
	return nil
}

// Unanswered says why a guest that sends frames has no lease: no server runs, or none that is known has answered. The
// query is that of [Silence]. The error has a [Failure]: there is always one.
func Unanswered(ctx context.Context, q CheckQuery) error {
	q.Root = cmp.Or(q.Root, "/")
	r := Report{own: own(q.Root, q.Bridge)}
	var err error
	if r.Bridge, err = FindBridge(q.Bridge); err != nil {
		return err
	}
	r.Server = DHCPServer(q.Root, q.Bridge)
	return r.unanswered(ctx, q)
}

func (r *Report) unanswered(ctx context.Context, q CheckQuery) error {
	for _, look := range []func(context.Context, CheckQuery, *Report) Result{checkDHCP, checkInputPolicy, checkBridged} {
		if result := look(ctx, q, r); result.Err != nil {
			return result.Err
		}
	}
	switch {
	case r.Server.Kind == "" && passesForward(q):
		return r.wrong(ErrForwardUnseen, strings.Join(r.Bridge.Uplinks, ", "))
	case r.Server.Kind == "":
		return r.wrong(ErrNoAnswer, "none runs on this host, one may on the network behind "+strings.Join(r.Bridge.Uplinks, ", "))
	}
	return r.wrong(ErrNotServed, r.Server.Evidence)
}

// LooseTaps are the taps of this network namespace that are a port of nothing. A VM's are, when its bridge was removed.
func LooseTaps() []string {
	links, err := again(netlink.LinkList)
	if err != nil {
		return nil
	}
	var loose []string
	for _, l := range links {
		if l.Type() == "tuntap" && l.Attrs().MasterIndex == 0 {
			loose = append(loose, l.Attrs().Name)
		}
	}
	return loose
}

// detached is [ErrTapDetached] for a guest with fewer ports on its bridge than NICs, and a tap that is a port of none.
func (q CheckQuery) detached(b Bridge, taps []port) error {
	on, off := 0, ""
	for _, t := range taps {
		switch t.master {
		case b.Index:
			on++
		case 0:
			off = cmp.Or(off, t.name)
		}
	}
	if off == "" || on >= max(1, len(q.MACs)) {
		return nil
	}
	detail := fmt.Sprintf("bridge %q was made anew since the start", b.Name)
	return &BridgeError{Failure{What: "tap " + off, Cause: ErrTapDetached, Detail: detail},
		Target{Bridge: b.Name, Own: own(cmp.Or(q.Root, "/"), b.Name)}}
}

// held is [ErrPortWaits] or [ErrPortBlocked] for a guest's port that forwards no frames.
func (CheckQuery) held(b Bridge, taps []port) error {
	for _, t := range taps {
		if t.master != b.Index {
			continue
		}
		state, left, err := readPort(t.index)
		if err != nil || state == PortForwarding {
			continue // the tap went away meanwhile, or is well
		}
		e := Failure{What: fmt.Sprintf("port %s of bridge %q", t.name, b.Name), Cause: ErrPortBlocked, Detail: state.String()}
		switch state {
		case PortListening:
			left += b.STP.ForwardDelay // it learns next
			fallthrough
		case PortLearning:
			e.Cause = ErrPortWaits
			e.Detail = fmt.Sprintf("%s, and forwards in %s", state, left.Round(time.Second))
			return &BridgeError{e, Target{Bridge: b.Name}}
		default:
			return &BlockedTapError{e, t.name, b.STP.On}
		}
	}
	return nil
}

// renamed is [ErrOtherMAC] where frames of a guest come in, and none of them from a MAC that it is to have.
func (q CheckQuery) renamed(b Bridge, taps []port) error {
	entries, err := again(func() ([]netlink.Neigh, error) { return netlink.NeighList(0, unix.AF_BRIDGE) })
	if err != nil {
		return nil //nolint:nilerr // what cannot be looked at is no cause
	}
	ofTap := map[int]port{}
	for _, t := range taps {
		ofTap[t.index] = t
	}
	var other netlink.Neigh
	for _, e := range entries {
		if e.MasterIndex != b.Index || e.State&(netlink.NUD_PERMANENT|netlink.NUD_NOARP) != 0 { // the port's own
			continue
		}
		if slices.ContainsFunc(q.MACs, func(m net.HardwareAddr) bool { return bytes.Equal(m, e.HardwareAddr) }) {
			return nil // a guest may have more MACs behind its NIC, as a bridge of its own has
		}
		if _, ours := ofTap[e.LinkIndex]; ours {
			other = e
		}
	}
	if other.HardwareAddr == nil {
		return nil
	}
	what := fmt.Sprintf("port %s of bridge %q", ofTap[other.LinkIndex].name, b.Name)
	return &OtherMACError{Failure{What: what, Cause: ErrOtherMAC, Detail: other.HardwareAddr.String()}, other.HardwareAddr}
}

// checkPort is [Silence] for the examination of a guest that runs.
func checkPort(_ context.Context, q CheckQuery, r *Report) Result {
	switch {
	case r.Bridge.Name == "":
		return skipped("no bridge")
	case q.PID == 0:
		return skipped("no guest that runs")
	}
	q.Bridge = r.Bridge.Name
	if err := Silence(q); err != nil {
		return warn(err)
	}
	return ok("its ports forward")
}

// checkSTP shows the spanning tree: a start waits for it, twice the forward delay.
func checkSTP(_ context.Context, _ CheckQuery, r *Report) Result {
	stp := r.Bridge.STP
	switch {
	case r.Bridge.Name == "":
		return skipped("no bridge")
	case !stp.On:
		return ok("off")
	case stp.ForwardDelay == 0:
		return ok("on, and a port forwards at once")
	}
	return warn(r.wrong(ErrSTPDelay, fmt.Sprintf("%s after its start", 2*stp.ForwardDelay)))
}

// passesForward says whether frames from port to port pass the FORWARD chains of the host: br_netfilter's setting.
func passesForward(q CheckQuery) bool {
	value := strings.TrimSpace(string(readSome(q.at("/proc/sys/net/bridge/bridge-nf-call-iptables"), 16)))
	return value != "" && value != "0"
}

// checkBridged asks the firewalls for what guests ask a DHCP server behind a port: with br_netfilter it passes the
// FORWARD chain.
func checkBridged(ctx context.Context, q CheckQuery, r *Report) Result {
	switch {
	case r.Bridge.Name == "":
		return skipped("no bridge")
	case len(r.Bridge.Uplinks) == 0:
		return skipped("not needed: no physical port")
	case !passesForward(q):
		return skipped("not needed: br_netfilter is off")
	case os.Geteuid() != 0:
		return skipped(needsRoot)
	}
	p := firewall.BridgedDHCPRequest(r.Bridge.Name)
	return r.askFirewalls(ctx, q, p, ErrBridgedDropped, ok("no policy drops what guests ask that network"))
}

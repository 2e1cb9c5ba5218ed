package netsetup

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// The causes: one for each cure. A [Failure] has exactly one of them; test with [errors.Is].
var (
	// ErrNoBridge says that no link has that name, or, for "auto", that the host has no bridge at all.
	ErrNoBridge = errors.New("no such bridge")
	// ErrNotBridge says that the link is there and is something else: a tap, a dummy, an Ethernet port.
	ErrNotBridge = errors.New("not a bridge")
	// ErrBridgeDown says that the bridge lacks IFF_UP. The helper accepts it; the guest would have a dead net.
	ErrBridgeDown = errors.New("bridge is down")

	// ErrDenied says that the ACL was read and does not let the bridge through.
	ErrDenied = errors.New("not allowed")
	// ErrACLComment says that the ACL has a rule for the bridge with a comment behind it, which the helper takes as part
	// of the name.
	ErrACLComment = errors.New("not allowed, its rule ends in a comment")
	// ErrACLMissing says that there is no ACL file: the helper then refuses every bridge.
	ErrACLMissing = errors.New("no ACL file")
	// ErrACLUnreadable says that this user may not read the ACL, or an include that could hold the bridge.
	// The helper reads it as the user who calls it, not as root.
	ErrACLUnreadable = errors.New("ACL file not readable by this user")
	// ErrACLSyntax says that a line of the ACL is junk to the helper, which then refuses every bridge.
	ErrACLSyntax = errors.New("ACL file has a bad line")

	// ErrNoHelper says that qemu-bridge-helper is not installed where it was looked for.
	ErrNoHelper = errors.New("no qemu-bridge-helper")
	// ErrHelperForbidden says that this user may not execute the helper: mode 4750 and not in its group.
	ErrHelperForbidden = errors.New("not executable by this user")
	// ErrHelperNotSetuid says that the helper has neither a setuid bit of root's nor CAP_NET_ADMIN as a file capability.
	ErrHelperNotSetuid = errors.New("not setuid root")
	// ErrNoNewPrivs says that this process may not gain privileges by executing a setuid file: prctl(2),
	// PR_SET_NO_NEW_PRIVS.
	ErrNoNewPrivs = errors.New("no_new_privs is set, setuid has no effect")
	// ErrUserNamespace says that this process is in a user namespace that does not own its network: a container or a
	// sandbox.
	ErrUserNamespace = errors.New("inside a user namespace that does not own the network")
	// ErrNosuidMount says that the helper is on a file system mounted nosuid.
	ErrNosuidMount = errors.New("on a nosuid mount, setuid has no effect")

	// ErrNoTun says that /dev/net/tun is absent, or that nothing is behind it: the module.
	ErrNoTun = errors.New("no tun device")
	// ErrTunPermission says that this user may not open /dev/net/tun, which is 0666 on ordinary hosts.
	ErrTunPermission = errors.New("tun device not open to this user")

	// ErrNoAddress says that the bridge has no IPv4 address, and nothing leads from it to a network that could have a
	// server.
	ErrNoAddress = errors.New("no IPv4 address")
	// ErrAllAllowed says that the ACL opens every bridge of the host.
	ErrAllAllowed = errors.New("opens every bridge of the host, a LAN's too")
	// ErrUplink says that a bridge with an address and a DHCP server of this host's has a port onto another network.
	ErrUplink = errors.New("guests and this host's DHCP server are on that network too")
	// ErrStaleManager says that the user's systemd began before the user was in the group: what it starts lacks it.
	ErrStaleManager = errors.New("began before this user was in the group, what it starts lacks it")

	// ErrNoDHCP says that no DHCP server is known on the bridge, nor another network that could have one.
	ErrNoDHCP = errors.New("no DHCP server is known")
	// ErrDHCPDead says that a DHCP server is configured for the bridge, and does not run.
	ErrDHCPDead = errors.New("its DHCP server does not run")
	// ErrLeasesUnreadable says that this user cannot read the lease file: addresses are found by the neighbour table
	// alone.
	ErrLeasesUnreadable = errors.New("lease file not readable by this user")
	// ErrPortTaken says that a port of DHCP's or DNS's is taken on every address, while no server is known on the bridge.
	ErrPortTaken = errors.New("taken on every address of the host")

	// ErrTapDetached says that a guest's tap is a port of no bridge: its bridge was removed since the start.
	ErrTapDetached = errors.New("no port of any bridge")
	// ErrPortWaits says that a bridge's spanning tree does not let a port forward yet.
	ErrPortWaits = errors.New("the spanning tree protocol lets no frames through yet")
	// ErrPortBlocked says that a port forwards nothing, and will not by itself.
	ErrPortBlocked = errors.New("forwards no frames")
	// ErrSTPDelay says that each new port of a bridge has to wait before it forwards.
	ErrSTPDelay = errors.New("its spanning tree protocol holds a guest's frames back")
	// ErrOtherMAC says that a guest sends, and under another MAC than its definition has.
	ErrOtherMAC = errors.New("the guest's frames come from another MAC than its definition has")

	// ErrNoAnswer says that no DHCP server of another network has answered, and none runs here.
	ErrNoAnswer = errors.New("no DHCP server has answered")
	// ErrForwardUnseen is ErrNoAnswer where what was asked and answered passes the host's FORWARD chain, which only root
	// sees.
	ErrForwardUnseen = errors.New("no DHCP server has answered, and what passes the bridge passes this host's FORWARD chain (bridge-nf-call-iptables)")
	// ErrBridgedDropped says that a firewall drops what guests ask a DHCP server behind a port of the bridge.
	ErrBridgedDropped = errors.New("the firewall keeps guests from the DHCP server of another network")
	// ErrNotServed says that the bridge has a DHCP server, and that has given the guest no lease.
	ErrNotServed = errors.New("its DHCP server has no lease for the guest, which may not ask for one")
	// ErrAddressElsewhere says that a source has an address for the guest that the host cannot reach it by.
	ErrAddressElsewhere = errors.New("the guest's address is not on the bridge")

	// ErrForwardingOff says that the kernel forwards nothing between networks.
	ErrForwardingOff = errors.New("forwarding is off, guests reach this host alone")
	// ErrForwardDropped says that a firewall drops what guests send to other networks.
	ErrForwardDropped = errors.New("the firewall lets guests reach this host alone")
	// ErrInputDropped says that a firewall drops what guests ask the DHCP server of this host.
	ErrInputDropped = errors.New("the firewall keeps guests from this host's DHCP server")
	// ErrFirewallUnknown says that a firewall drops what it does not know, and may know the bridge; or could not be asked.
	ErrFirewallUnknown = errors.New("a firewall drops what it does not know")
	// ErrNoNAT says that our own table of rules is not there: something has flushed it, or the unit has failed.
	ErrNoNAT = errors.New("qlaunch's firewall rules are not in force")
	// ErrFewerRules says that some of our own tables are there and some are not: an earlier version has set the host up,
	// or somebody has deleted one.
	ErrFewerRules = errors.New("some of qlaunch's firewall rules are not in force")

	// ErrRouteCollides says that another route of the host's covers addresses of the bridge's subnet.
	ErrRouteCollides = errors.New("another route has addresses of its subnet")
	// ErrMTU says that the way out takes smaller packets than the bridge.
	ErrMTU = errors.New("larger packets than the way out takes")
	// ErrMACTaken says that another port of the bridge has a guest's MAC.
	ErrMACTaken = errors.New("a guest's MAC is another's")
	// ErrManagerMeddles says that NetworkManager manages the bridge, and may take it down.
	ErrManagerMeddles = errors.New("NetworkManager manages it, and may take it down")

	// ErrHelperTimeout says that the helper was killed, with its process group, at the deadline.
	ErrHelperTimeout = errors.New("no answer before the deadline")
	// ErrNoTapFD says that the helper ended well and yet did not hand over exactly one tap.
	ErrNoTapFD = errors.New("no tap handed over")
	// ErrHelperFailed says that the helper failed for a reason that only its own words tell.
	ErrHelperFailed = errors.New("ended in an error")
)

// A Failure is what stands between a guest and its bridge. Most are of one of the types below, which have what a cure
// needs.
type Failure struct {
	What   string // the object: "tap on virbr0", "bridge virbr0"
	Cause  error  // one of the sentinels above
	Detail string // what was seen, in our words; may be empty
	Words  string // the bridge helper's own words in one line: foreign text, not fit for a terminal
}

// BridgeFailure is what there is to say of a bridge.
func BridgeFailure(bridge string, cause error, detail string) Failure {
	return Failure{What: fmt.Sprintf("bridge %q", bridge), Cause: cause, Detail: detail}
}

// Error is one line: the object, the cause, what was seen, the helper's own words.
func (f *Failure) Error() string {
	parts := []string{f.What}
	if f.Cause != nil {
		parts = append(parts, f.Cause.Error())
	}
	for _, s := range []string{f.Detail, f.Words} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// Unwrap is the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// A Target is the bridge that a failure is about.
type Target struct {
	Bridge string // its name, or [Auto] where the host has none
	Auto   bool   // nobody named it: any other would do
	Own    bool   // `net setup` made it: a unit brings it back
}

func (t *Target) target() *Target { return t }

// TargetOf returns the bridge that an error of this package is about; the zero value where it is about none.
func TargetOf(err error) Target {
	if t := targetOf(err); t != nil {
		return *t
	}
	return Target{}
}

func targetOf(err error) *Target {
	type aimed interface {
		error
		target() *Target
	}
	if e, ok := errors.AsType[aimed](err); ok {
		return e.target()
	}
	return nil
}

// An Access is who may use a file that this user may not.
type Access struct {
	Group      string // its group; empty where it cannot be seen
	LogInAgain bool   // this user is in the group, and not yet in this session, which began before
}

func (a *Access) access() *Access { return a }

// AccessOf returns who may use the file that an error of this package is about; the zero value where it is about none.
func AccessOf(err error) Access {
	type closed interface {
		error
		access() *Access
	}
	if e, ok := errors.AsType[closed](err); ok {
		return *e.access()
	}
	return Access{}
}

// A BridgeError is about the bridge, or what the host has for it.
type BridgeError struct {
	Failure
	Target
}

// An ACLError is about the helper's ACL: what it says of the bridge, or that it cannot be read.
type ACLError struct {
	Failure
	Target
	Access
	File string // the ACL, or a file that it includes
	Line int    // the line in File, from 1; 0 for all of it
}

// A HelperError is about qemu-bridge-helper.
type HelperError struct {
	Failure
	Target
	Access
	Helper string // its path
}

// A TunError is about /dev/net/tun: [ErrNoTun] or [ErrTunPermission].
type TunError struct {
	Failure
	Access
}

// A PortTakenError is [ErrPortTaken].
type PortTakenError struct {
	Failure
	Port int // of UDP or TCP
}

// A BlockedTapError is [ErrPortBlocked].
type BlockedTapError struct {
	Failure
	Tap string
	STP bool // the bridge takes part in the spanning tree protocol
}

// An OtherMACError is [ErrOtherMAC].
type OtherMACError struct {
	Failure
	MAC net.HardwareAddr // under which the guest sends
}

// An ElsewhereError is [ErrAddressElsewhere].
type ElsewhereError struct {
	Failure
	Target
	IP netip.Addr // the guest's
}

// A FirewallError is about a firewall that drops what guests send.
type FirewallError struct {
	Failure
	Target
	Chain string // the nft chain: its family, table and name; empty for iptables, and where none is known
}

// An MTUError is [ErrMTU].
type MTUError struct {
	Failure
	Target
	MTU int // that of the way out, in bytes
}

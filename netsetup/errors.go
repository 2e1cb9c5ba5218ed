package netsetup

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// The causes, one for each remedy. A [Failure] has exactly one of them; test with [errors.Is].
var (
	// ErrNoBridge says that no link has that name, or, for "auto", that the host has no bridge at all.
	ErrNoBridge = errors.New("no such bridge")
	// ErrNotBridge says that the link exists but is not a bridge: a tap, a dummy, an Ethernet port.
	ErrNotBridge = errors.New("not a bridge")
	// ErrBridgeDown says that the bridge lacks IFF_UP. The helper accepts it, but the guest would have no network.
	ErrBridgeDown = errors.New("bridge is down")

	// ErrDenied says that the ACL does not allow the bridge.
	ErrDenied = errors.New("not allowed")
	// ErrACLComment says that the ACL has a rule for the bridge followed by a comment, which the helper takes as part
	// of the name.
	ErrACLComment = errors.New("not allowed, its rule ends in a comment")
	// ErrACLMissing says that there is no ACL file: the helper then refuses every bridge.
	ErrACLMissing = errors.New("no ACL file")
	// ErrACLUnreadable says that this user may not read the ACL, or an include that could hold the bridge.
	// The helper reads it as the user who calls it, not as root.
	ErrACLUnreadable = errors.New("ACL file not readable by this user")
	// ErrACLSyntax says that the helper cannot parse a line of the ACL, and therefore refuses every bridge.
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

	// ErrNoTun says that /dev/net/tun does not exist, or that its kernel module is missing.
	ErrNoTun = errors.New("no tun device")
	// ErrTunPermission says that this user may not open /dev/net/tun, which is 0666 on ordinary hosts.
	ErrTunPermission = errors.New("tun device not open to this user")

	// ErrNoAddress says that the bridge has no IPv4 address, and no port to a network that could have a DHCP server.
	ErrNoAddress = errors.New("no IPv4 address")
	// ErrAllAllowed says that the ACL allows every bridge of the host.
	ErrAllAllowed = errors.New("opens every bridge of the host, a LAN's too")
	// ErrUplink says that a bridge with an address and a DHCP server of this host's has a port onto another network.
	ErrUplink = errors.New("guests and this host's DHCP server are on that network too")
	// ErrStaleManager says that the user's systemd started before the user was in the group, so its services lack it.
	ErrStaleManager = errors.New("began before this user was in the group, what it starts lacks it")

	// ErrNoDHCP says that no DHCP server is known on the bridge, nor another network that could have one.
	ErrNoDHCP = errors.New("no DHCP server is known")
	// ErrDHCPDead says that a DHCP server is configured for the bridge but does not run.
	ErrDHCPDead = errors.New("its DHCP server does not run")
	// ErrLeasesUnreadable says that this user cannot read the lease file, so that only the neighbour table has
	// addresses.
	ErrLeasesUnreadable = errors.New("lease file not readable by this user")
	// ErrPortTaken says that a port of DHCP's or DNS's is taken on every address, while no server is known on the bridge.
	ErrPortTaken = errors.New("taken on every address of the host")

	// ErrTapDetached says that a guest's tap is on no bridge: its bridge was removed since the start.
	ErrTapDetached = errors.New("no port of any bridge")
	// ErrPortWaits says that a bridge's spanning tree does not let a port forward yet.
	ErrPortWaits = errors.New("the spanning tree protocol lets no frames through yet")
	// ErrPortBlocked says that a port does not forward, and will not start to by itself.
	ErrPortBlocked = errors.New("forwards no frames")
	// ErrSTPDelay says that each new port of a bridge has to wait before it forwards.
	ErrSTPDelay = errors.New("its spanning tree protocol holds a guest's frames back")
	// ErrOtherMAC says that a guest sends with another MAC than that in its definition.
	ErrOtherMAC = errors.New("the guest's frames come from another MAC than its definition has")

	// ErrNoAnswer says that no DHCP server on another network has replied, and none runs on this host.
	ErrNoAnswer = errors.New("no DHCP server has answered")
	// ErrForwardUnseen is ErrNoAnswer if requests and replies pass the host's FORWARD chain, which only root can
	// read.
	ErrForwardUnseen = errors.New("no DHCP server has answered, and what passes the bridge passes this host's FORWARD chain (bridge-nf-call-iptables)")
	// ErrBridgedDropped says that a firewall drops guests' requests to a DHCP server behind a port of the bridge.
	ErrBridgedDropped = errors.New("the firewall keeps guests from the DHCP server of another network")
	// ErrNotServed says that the bridge has a DHCP server, but that it has given the guest no lease.
	ErrNotServed = errors.New("its DHCP server has no lease for the guest, which may not ask for one")
	// ErrAddressElsewhere says that a source has an address for the guest at which the host cannot reach it.
	ErrAddressElsewhere = errors.New("the guest's address is not on the bridge")

	// ErrForwardingOff says that the kernel does not forward between networks.
	ErrForwardingOff = errors.New("forwarding is off, guests reach this host alone")
	// ErrForwardDropped says that a firewall drops packets from guests to other networks.
	ErrForwardDropped = errors.New("the firewall lets guests reach this host alone")
	// ErrInputDropped says that a firewall drops guests' requests to the DHCP server on this host.
	ErrInputDropped = errors.New("the firewall keeps guests from this host's DHCP server")
	// ErrFirewallUnknown says that a firewall drops by default and may or may not accept the bridge, or that it could
	// not be queried.
	ErrFirewallUnknown = errors.New("a firewall drops what it does not know")
	// ErrNoNAT says that our own table of rules does not exist: it was flushed, or the unit has failed.
	ErrNoNAT = errors.New("qlaunch's firewall rules are not in force")
	// ErrFewerRules says that only some of our own tables exist: an earlier version has set up the host, or somebody
	// has deleted one.
	ErrFewerRules = errors.New("some of qlaunch's firewall rules are not in force")

	// ErrRouteCollides says that another route of the host overlaps with the bridge's subnet.
	ErrRouteCollides = errors.New("another route has addresses of its subnet")
	// ErrMTU says that the route to other networks has a smaller MTU than the bridge.
	ErrMTU = errors.New("larger packets than the way out takes")
	// ErrMACTaken says that another port of the bridge has a guest's MAC.
	ErrMACTaken = errors.New("a guest's MAC is another's")
	// ErrManagerMeddles says that NetworkManager manages the bridge, and may take it down.
	ErrManagerMeddles = errors.New("NetworkManager manages it, and may take it down")

	// ErrHelperTimeout says that the helper was killed, with its process group, at the deadline.
	ErrHelperTimeout = errors.New("no answer before the deadline")
	// ErrNoTapFD says that the helper exited with 0 but did not pass exactly one tap.
	ErrNoTapFD = errors.New("no tap handed over")
	// ErrHelperFailed says that the helper failed for a reason that only its own message names.
	ErrHelperFailed = errors.New("ended in an error")
)

// Failure says why a guest cannot use its bridge. Most are of one of the types below, which have what a remedy needs.
type Failure struct {
	What   string // the object: "tap on virbr0", "bridge virbr0"
	Cause  error  // one of the sentinels above
	Detail string // what was found, in our words; may be empty
	Words  string // the bridge helper's message in one line: untrusted, do not print it to a terminal unfiltered
}

// BridgeFailure has what an error about a bridge needs.
func BridgeFailure(bridge string, cause error, detail string) Failure {
	return Failure{What: fmt.Sprintf("bridge %q", bridge), Cause: cause, Detail: detail}
}

// Error returns one line: the object, the cause, what was found, and the helper's message.
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

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// Target is the bridge that a failure is about.
type Target struct {
	Bridge string // its name, or [Auto] if the host has none
	Auto   bool   // nobody named it, so another one would do
	Own    bool   // `net setup` created it: a unit restores it
}

func (t *Target) target() *Target { return t }

// TargetOf returns the bridge that an error of this package is about; the zero value if it is about none.
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

// Access says who may use a file that this user may not use.
type Access struct {
	Group      string // its group; empty if unknown
	LogInAgain bool   // this user is in the group, but this session began before
}

func (a *Access) access() *Access { return a }

// AccessOf returns who may use the file that an error of this package is about; the zero value if it is about none.
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

// BridgeError is an error about the bridge, or about what the host has for it.
type BridgeError struct {
	Failure
	Target
}

// ACLError is an error about the helper's ACL: it does not allow the bridge, or cannot be read.
type ACLError struct {
	Failure
	Target
	Access
	File string // the ACL, or a file that it includes
	Line int    // the line in File, from 1; 0 for the whole file
}

// HelperError is an error about qemu-bridge-helper.
type HelperError struct {
	Failure
	Target
	Access
	Helper string // its path
}

// TunError is an error about /dev/net/tun: [ErrNoTun] or [ErrTunPermission].
type TunError struct {
	Failure
	Access
}

// PortTakenError is [ErrPortTaken].
type PortTakenError struct {
	Failure
	Port int // of UDP or TCP
}

// BlockedTapError is [ErrPortBlocked].
type BlockedTapError struct {
	Failure
	Tap string
	STP bool // the bridge takes part in the spanning tree protocol
}

// OtherMACError is [ErrOtherMAC].
type OtherMACError struct {
	Failure
	MAC net.HardwareAddr // with which the guest sends
}

// ElsewhereError is [ErrAddressElsewhere].
type ElsewhereError struct {
	Failure
	Target
	IP netip.Addr // the guest's
}

// FirewallError is an error about a firewall that drops packets of guests.
type FirewallError struct {
	Failure
	Target
	Chain string // the nft chain: its family, table and name; empty for iptables, or if unknown
}

// MTUError is [ErrMTU].
type MTUError struct {
	Failure
	Target
	MTU int // that of the route to other networks, in bytes
}

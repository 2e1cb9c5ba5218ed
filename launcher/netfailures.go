package launcher

import "github.com/qlaunch/qlaunch/netsetup"

// The failures of a bridged NIC, from package netsetup, as failures.go has those of the other packages.

// What is missing on the host, or in the way, between a guest and its bridge.
var (
	ErrNoBridge         = netsetup.ErrNoBridge
	ErrNotBridge        = netsetup.ErrNotBridge
	ErrBridgeDown       = netsetup.ErrBridgeDown
	ErrACLMissing       = netsetup.ErrACLMissing
	ErrACLUnreadable    = netsetup.ErrACLUnreadable
	ErrACLSyntax        = netsetup.ErrACLSyntax
	ErrACLComment       = netsetup.ErrACLComment
	ErrDenied           = netsetup.ErrDenied
	ErrNoHelper         = netsetup.ErrNoHelper
	ErrHelperForbidden  = netsetup.ErrHelperForbidden
	ErrHelperNotSetuid  = netsetup.ErrHelperNotSetuid
	ErrNoNewPrivs       = netsetup.ErrNoNewPrivs
	ErrUserNamespace    = netsetup.ErrUserNamespace
	ErrNosuidMount      = netsetup.ErrNosuidMount
	ErrNoTun            = netsetup.ErrNoTun
	ErrTunPermission    = netsetup.ErrTunPermission
	ErrHelperTimeout    = netsetup.ErrHelperTimeout
	ErrNoTapFD          = netsetup.ErrNoTapFD
	ErrHelperFailed     = netsetup.ErrHelperFailed
	ErrBridgeNoAddress  = netsetup.ErrNoAddress
	ErrAllAllowed       = netsetup.ErrAllAllowed
	ErrUplink           = netsetup.ErrUplink
	ErrStaleManager     = netsetup.ErrStaleManager
	ErrNoDHCP           = netsetup.ErrNoDHCP
	ErrTapDetached      = netsetup.ErrTapDetached
	ErrPortWaits        = netsetup.ErrPortWaits
	ErrSTPDelay         = netsetup.ErrSTPDelay
	ErrPortBlocked      = netsetup.ErrPortBlocked
	ErrOtherMAC         = netsetup.ErrOtherMAC
	ErrNoAnswer         = netsetup.ErrNoAnswer
	ErrNotServed        = netsetup.ErrNotServed
	ErrForwardUnseen    = netsetup.ErrForwardUnseen
	ErrBridgedDropped   = netsetup.ErrBridgedDropped
	ErrAddressElsewhere = netsetup.ErrAddressElsewhere
	ErrDHCPDead         = netsetup.ErrDHCPDead
	ErrLeasesUnreadable = netsetup.ErrLeasesUnreadable
	ErrPortTaken        = netsetup.ErrPortTaken
	ErrForwardingOff    = netsetup.ErrForwardingOff
	ErrForwardDropped   = netsetup.ErrForwardDropped
	ErrInputDropped     = netsetup.ErrInputDropped
	ErrFirewallUnknown  = netsetup.ErrFirewallUnknown
	ErrNoNAT            = netsetup.ErrNoNAT
	ErrFewerRules       = netsetup.ErrFewerRules
	ErrRouteCollides    = netsetup.ErrRouteCollides
	ErrMTU              = netsetup.ErrMTU
	ErrMACTaken         = netsetup.ErrMACTaken
	ErrManagerMeddles   = netsetup.ErrManagerMeddles
)

type (
	// ACLError is [netsetup.ACLError].
	ACLError = netsetup.ACLError
	// BlockedTapError is [netsetup.BlockedTapError].
	BlockedTapError = netsetup.BlockedTapError
	// AddressElsewhereError is [netsetup.ElsewhereError].
	AddressElsewhereError = netsetup.ElsewhereError
	// FirewallError is [netsetup.FirewallError].
	FirewallError = netsetup.FirewallError
	// HelperError is [netsetup.HelperError].
	HelperError = netsetup.HelperError
	// MTUError is [netsetup.MTUError].
	MTUError = netsetup.MTUError
	// OtherMACError is [netsetup.OtherMACError].
	OtherMACError = netsetup.OtherMACError
	// PortTakenError is [netsetup.PortTakenError].
	PortTakenError = netsetup.PortTakenError
	// ServerError is [netsetup.ServerError].
	ServerError = netsetup.ServerError
	// UntrustedError is [netsetup.UntrustedError].
	UntrustedError = netsetup.UntrustedError
)

// NoneFits says that no bridge of the host can be used, with the failure of each.
type NoneFits = netsetup.NoneFits

// BridgeTarget is the bridge that a failure is about, as far as it is known.
type BridgeTarget = netsetup.Target

// TargetOf gives the bridge that a failure is about; the zero BridgeTarget where it is about none.
func TargetOf(err error) BridgeTarget { return netsetup.TargetOf(err) }

// OwnBridge is the bridge that `net setup` makes where none is named.
const OwnBridge = netsetup.OwnBridge

// The programs that serve DHCP, by Kind of the server in a ServerError.
const (
	ServerQlaunch        = netsetup.ServerQlaunch
	ServerLibvirt        = netsetup.ServerLibvirt
	ServerNetworkd       = netsetup.ServerNetworkd
	ServerNetworkManager = netsetup.ServerNetworkManager
)

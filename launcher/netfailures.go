package launcher

import "github.com/qlaunch/qlaunch/netsetup"

// The errors about a bridged NIC, from package netsetup; failures.go has those of the other packages.

// Errors about what is missing on the host, or blocks packets, between a guest and its bridge.
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

// NoneFits says that no bridge of the host can be used, with the reason for each.
type NoneFits = netsetup.NoneFits

// BridgeTarget is the bridge that an error is about, as far as it is known.
type BridgeTarget = netsetup.Target

// TargetOf returns the bridge that an error is about; the zero BridgeTarget if it is about none.
func TargetOf(err error) BridgeTarget { return netsetup.TargetOf(err) }

// OwnBridge is the bridge that `net setup` creates if none is named.
const OwnBridge = netsetup.OwnBridge

// The programs that serve DHCP: the values of Kind of the server in a ServerError.
const (
	ServerQlaunch        = netsetup.ServerQlaunch
	ServerLibvirt        = netsetup.ServerLibvirt
	ServerNetworkd       = netsetup.ServerNetworkd
	ServerNetworkManager = netsetup.ServerNetworkManager
)

// Package lease finds the address of a guest on a bridge of the host by its MAC.
//
// No single program knows that address. The DHCP server on the bridge writes it into its lease file: dnsmasq,
// libvirt, systemd-networkd and NetworkManager each have a place and a format of their own. A guest with a fixed
// address is in none of them, but the kernel's neighbour table has seen it. [Look] reads all of them once and reports
// what each of them has; [Waiter] waits for the address of a guest that is starting.
//
// Leases outlive guests: the address of an earlier boot is in the same file under the same MAC. So every [Address]
// says whether it belongs to this start of the guest, and a Waiter that was made before the start returns an old
// lease only if the kernel has seen the guest use it since.
//
// The MAC is the key but no proof, since another guest on the bridge can send with it too. ssh's host keys show which
// guest has the address.
package lease

import (
	"bytes"
	"net"
	"net/netip"
	"time"
)

// Query identifies the guest's interface.
type Query struct {
	Root   string           // the root of the host's files: "/", or a test's directory
	Bridge string           // the bridge of the host that the guest's tap is a port of
	MAC    net.HardwareAddr // the guest's, 6 bytes
	Since  time.Time        // when the guest was started; zero: not yet (NewWaiter), or unknown (Look)

	OtherMACs []net.HardwareAddr // of the guest's other NICs on the bridge

	// Server returns the lease file that the bridge's server was configured to use, in dnsmasq's format: an absolute
	// path below Root, or an empty text. It is called once, and only if the usual places do not have the guest's
	// address. It may be nil.
	Server func() string
}

// started reports whether the time of the start is usable. A time in the future is not: the clock was set back since,
// as after a boot with a wrong hardware clock, and all other times may then appear older than the start.
func (q Query) started(at time.Time) bool { return !q.Since.IsZero() && !q.Since.After(at) }

// Source is a kind of source of addresses.
type Source string

// The sources, in the order of the reports.
const (
	Dnsmasq        Source = "dnsmasq"
	Libvirt        Source = "libvirt"
	Networkd       Source = "networkd"
	NetworkManager Source = "NetworkManager"
	Neighbours     Source = "neighbours" // the kernel's ARP and NDP tables
	FDB            Source = "fdb"        // the bridge's forwarding table: proof of frames, not an address
)

// Agent is the guest agent. It is untrusted: a guest may report any address.
const Agent Source = "agent"

// Freshness says whether an address belongs to the guest's current start.
type Freshness string

// The values of Freshness.
const (
	ThisStart Freshness = "this start" // granted, or seen in use, since the guest was started
	Older     Freshness = "older"      // from before the start, as far as is known
	Unknown   Freshness = "unknown"    // not known
)

// Address is an address that a source has for the guest's MAC.
type Address struct {
	IP        netip.Addr `json:"address"` // an IPv6 link-local address has the bridge as its zone
	Source    Source     `json:"source"`
	Path      string     `json:"path"`              // the lease file, or the command that shows the kernel's table
	Hostname  string     `json:"hostname,omitzero"` // the name that the guest sent: untrusted, do not print it to a terminal unfiltered
	Expiry    time.Time  `json:"expiry,omitzero"`   // of the lease; zero: never, or unknown
	Freshness Freshness  `json:"freshness"`
	Live      bool       `json:"live"`               // the kernel has seen the MAC use the address since the start
	Neighbour string     `json:"neighbour,omitzero"` // the state of the kernel's entry for it: REACHABLE, STALE …
	Holder    string     `json:"holder,omitzero"`    // another MAC, if the kernel remembers the address at that MAC
	Refused   string     `json:"refused,omitzero"`   // why it cannot be the guest's address; empty if it can

	expired bool // the lease has ended
}

// IsLease reports whether a DHCP server granted the address; else it is from the kernel's neighbour table or the
// agent.
func (a Address) IsLease() bool { return a.Source != Neighbours && a.Source != Agent }

// lease is an entry of a lease file.
type lease struct {
	mac      net.HardwareAddr // nil if the entry has no Ethernet address
	ip       netip.Addr
	hostname string
	expiry   time.Time // zero: never

	// issue changes whenever the server grants the lease again, and at no other time.
	issue string
}

// parsed is the content of a lease file.
type parsed struct {
	leases     []lease
	skipped    int  // the number of invalid entries
	incomplete bool // the last line is incomplete: the server is writing
}

// parseIP parses an address as in lease files: without a zone.
func parseIP(s string) (netip.Addr, bool) {
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.Zone() != "" {
		return netip.Addr{}, false
	}
	return ip.Unmap(), true
}

// sameMAC reports whether the hardware address of an entry is the guest's. An entry without one matches no guest.
func sameMAC(entry, guest net.HardwareAddr) bool { return len(entry) == 6 && bytes.Equal(entry, guest) }

// parseMAC parses an Ethernet address; net.ParseMAC accepts longer ones too.
func parseMAC(s string) (net.HardwareAddr, bool) {
	mac, err := net.ParseMAC(s)
	if err != nil || len(mac) != 6 {
		return nil, false
	}
	return mac, true
}

// hostname checks a name that a guest sent: it may have any bytes, but not more than a host name. dnsmasq writes "*"
// for no name.
func hostname(s string) string {
	const longest = 253 // RFC 1035, section 2.3.4
	if s == "*" {
		return ""
	}
	return s[:min(len(s), longest)]
}

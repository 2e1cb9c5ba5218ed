// Package lease finds the address of a guest on a host bridge by its MAC.
//
// No single program knows that address. The DHCP server on the bridge wrote it into its lease file: dnsmasq, libvirt,
// systemd-networkd and NetworkManager each have a place and a form of their own. A guest with a fixed address is in
// none of them, but the kernel's neighbour table has seen it. [Look] asks all of them once and says what each of them
// knew; [Waiter] waits for the answer of a guest that is only starting.
//
// Leases outlive guests: the address of last week's boot stands in the same file, under the same MAC. So every
// [Address] says whether it belongs to this start of the guest, and a Waiter that was made before the start returns an
// old lease only when the kernel has seen the guest use it since.
//
// The MAC is the key, and it is no proof: another guest on the bridge can send it too. Who answers at the address is a
// question for ssh's host keys.
package lease

import (
	"bytes"
	"net"
	"net/netip"
	"time"
)

// A Query names the guest's interface.
type Query struct {
	Root   string           // where the host's files are: "/", or a test's directory
	Bridge string           // the host bridge that the guest is a port of
	MAC    net.HardwareAddr // the guest's, 6 bytes
	Since  time.Time        // when the guest was started; zero: not started yet (NewWaiter), or not known (Look)

	Kin []net.HardwareAddr // of the guest's other NICs on the bridge

	// Server finds the file in which the bridge's server was told to keep its leases, in dnsmasq's form: an absolute path
	// below Root, or nothing. It is asked once, and only when the usual places do not hold the guest's address. nil: it is not asked.
	Server func() string
}

// started says whether the time of the start tells anything. One that lies ahead does not: the clock was set back since, as
// at a boot with a wrong hardware clock, and nothing is from before the start for being older than that.
func (q Query) started(at time.Time) bool { return !q.Since.IsZero() && !q.Since.After(at) }

// A Source is a kind of place that knows addresses.
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

// Agent is what a program in the guest says. It is no witness of anybody else's: the guest may claim what it likes.
const Agent Source = "agent"

// Freshness says whether an address belongs to the guest's present start.
type Freshness string

// What can be known of an address.
const (
	ThisStart Freshness = "this start" // given, or seen in use, since the guest was started
	Older     Freshness = "older"      // from before the guest was started, as far as anything shows
	Unknown   Freshness = "unknown"    // nothing tells
)

// An Address is one that a source holds for the guest's MAC.
type Address struct {
	IP        netip.Addr `json:"address"` // with the bridge as its zone when it is IPv6 link-local
	Source    Source     `json:"source"`
	Path      string     `json:"path"`              // the lease file, or the command that shows the kernel's table
	Hostname  string     `json:"hostname,omitzero"` // what the guest calls itself: foreign text, not fit for a terminal
	Expiry    time.Time  `json:"expiry,omitzero"`   // of the lease; zero: never, or the source does not say
	Freshness Freshness  `json:"freshness"`
	Live      bool       `json:"live"`               // the kernel has seen the MAC use the address since the start
	Neighbour string     `json:"neighbour,omitzero"` // the state of the kernel's entry for it: REACHABLE, STALE …
	Holder    string     `json:"holder,omitzero"`    // another's MAC, where the kernel remembers that one to have had the address
	Refused   string     `json:"refused,omitzero"`   // why it can not be the guest's address; empty: it can

	expired bool // the lease has ended
}

// IsLease tells a server's lease from an entry of the kernel's neighbour table, and from what the guest says itself.
func (a Address) IsLease() bool { return a.Source != Neighbours && a.Source != Agent }

// A lease is an entry of a lease file.
type lease struct {
	mac      net.HardwareAddr // nil when the entry is not keyed by an Ethernet address
	ip       netip.Addr
	hostname string
	expiry   time.Time // zero: never

	// issue changes whenever the server gives the lease anew, and at no other time.
	issue string
}

// parsed is what a parser found in a file.
type parsed struct {
	leases  []lease
	skipped int  // entries that made no sense
	torn    bool // the file ends in mid-line: its writer is at work
}

// parseIP reads an address as lease files have it: without a zone.
func parseIP(s string) (netip.Addr, bool) {
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.Zone() != "" {
		return netip.Addr{}, false
	}
	return ip.Unmap(), true
}

// same says whether an entry's hardware address is the guest's. An entry without one is nobody's.
func same(entry, guest net.HardwareAddr) bool { return len(entry) == 6 && bytes.Equal(entry, guest) }

// parseMAC reads an Ethernet address; net.ParseMAC takes longer ones too.
func parseMAC(s string) (net.HardwareAddr, bool) {
	mac, err := net.ParseMAC(s)
	if err != nil || len(mac) != 6 {
		return nil, false
	}
	return mac, true
}

// hostname is a name that a guest has chosen, of any bytes, but no more than names have. "*" is how dnsmasq writes "none".
func hostname(s string) string {
	const longest = 253 // RFC 1035, section 2.3.4
	if s == "*" {
		return ""
	}
	return s[:min(len(s), longest)]
}

package host

import (
	"encoding/binary"
	"net/netip"

	"github.com/qlaunch/qlaunch/netsetup"
)

// A Spec is what the host is to be like, with nothing left open; [Resolve] makes it.
type Spec struct {
	Bridge     string       `json:"bridge"`
	Own        bool         `json:"own"`                  // the bridge and its DHCP are ours; else only the way to it is
	Subnet     netip.Prefix `json:"subnet,omitzero"`      // the host's address on our own bridge, and the subnet's length
	Isolate    bool         `json:"isolate,omitempty"`    // guests on our own bridge cannot reach one another
	HostAccess bool         `json:"hostAccess,omitempty"` // guests on our own bridge reach every service of the host
	Inbound    bool         `json:"inbound,omitempty"`    // other networks may open connections to guests on our own bridge
	Names      []Name       `json:"names,omitempty"`      // kept for guests on our own bridge
	Forward    bool         `json:"forward"`              // the host forwards the guests' packets
	Users      []string     `json:"users,omitempty"`      // who may use it, beside those who may already
	Bridges    []string     `json:"bridges"`              // what the helper's ACL allows: this one, and those of earlier runs
}

// Flags are the words that tell `net apply` what it needs to know.
func (w Spec) Flags() []string {
	flags := []string{"--bridge=" + w.Bridge, "--subnet=" + w.Subnet.String()}
	for _, flag := range []struct {
		name string
		set  bool
	}{{"--isolate", w.Isolate}, {"--host-access", w.HostAccess}, {"--inbound", w.Inbound}} {
		if flag.set {
			flags = append(flags, flag.name)
		}
	}
	return flags
}

// The places of what setup makes.
const (
	programPath = "/usr/local/libexec/qlaunch"       // root's own copy of this program: a unit of root's must not run a user's file
	journalPath = netsetup.StateDir + "/setup.json"  // root's alone: it holds the administrator's files as they were
	wantedPath  = netsetup.StateDir + "/wanted.json" // what of the journal a dry run of anybody's goes by
	reloadUnit  = "qlaunch-again.service"
	dhcpUnit    = "qlaunch-dhcp.service"
	Group       = "kvm" // who may use the helper and /dev/kvm
	aclInclude  = "/etc/qemu/bridge.conf.d/qlaunch.conf"

	sysctlFile  = "/etc/sysctl.d/50-qlaunch.conf"
	unitDir     = "/etc/systemd/system/"
	nmFile      = "/etc/NetworkManager/conf.d/50-qlaunch.conf"
	networkFile = "/etc/systemd/network/05-qlaunch.network"
	zoneFile    = "/etc/firewalld/zones/qlaunch.xml"
	policyFile  = "/etc/firewalld/policies/qlaunch-inbound.xml"
	ipForward   = "net.ipv4.ip_forward"
	guestDomain = "qlaunch.internal" // .internal is reserved for private use (ICANN, 2024)
)

// pool are the first and the last address for guests: all of the subnet but its own and the broadcast's, on that side
// of the host's address that has more of them. The host's is never among them: a guest that had it would be the
// gateway.
func (w Spec) pool() (first, last netip.Addr) {
	host := w.Subnet.Addr()
	first, last = w.Subnet.Masked().Addr().Next(), broadcast(w.Subnet).Prev()
	if number(host)-number(first) <= number(last)-number(host) {
		return host.Next(), last
	}
	return first, host.Prev()
}

func number(a netip.Addr) uint32 {
	four := a.As4()
	return binary.BigEndian.Uint32(four[:])
}

func broadcast(p netip.Prefix) netip.Addr {
	n := number(p.Masked().Addr()) | (1<<(32-p.Bits()) - 1)
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
}

func mask(p netip.Prefix) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-p.Bits()))))
}

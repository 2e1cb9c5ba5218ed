package netsetup

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// The kinds of DHCP server that are told apart.
const (
	ServerQlaunch        = "qlaunch"        // the one that `net setup` installs
	ServerLibvirt        = "libvirt"        // of a network of libvirt's
	ServerNetworkManager = "NetworkManager" // of a shared connection
	ServerDnsmasq        = "dnsmasq"        // the distribution's, or one that somebody started
	ServerNetworkd       = "networkd"       // systemd-networkd's own
)

// A Server is what can be seen of the DHCP server on a bridge. The zero value is that none is known, which is no proof
// that there is none: on a bridge onto a LAN it is another machine.
type Server struct {
	Kind     string // one of the constants above, "" for none
	Evidence string // what tells of it: a process, a file
	PID      int    // its process, 0 when none was seen
	Dead     bool   // it is configured, and no process of this host is it; false where that cannot be told
	Leases   string // its lease file, where that is known
}

// DHCPServer tells which program of this host serves DHCP on a bridge, by what every user can read below root, normally
// "/": the command lines in /proc, with the configuration that they name, and the files that servers keep for an
// interface. A process counts more than a file, which outlives its server.
func DHCPServer(root, bridge string) Server {
	h := dhcpHost{root: root, bridge: bridge}
	if b, err := FindBridge(bridge); err == nil {
		h.subnets = b.subnets()
	}
	h.scan()
	for _, look := range []func() Server{h.runningDnsmasq, h.qlaunch, h.libvirt, h.networkd, h.networkManager} {
		if s := look(); s.Kind != "" {
			return s
		}
	}
	return Server{}
}

func (h *dhcpHost) at(path string) string { return filepath.Join(h.root, path) }

func (h *dhcpHost) has(path string) bool {
	_, err := os.Stat(h.at(path))
	return err == nil
}

// runningDnsmasq is the dnsmasq whose command line, or configuration, gives it DHCP on the bridge.
func (h *dhcpHost) runningDnsmasq() Server {
	for _, p := range h.dnsmasqs {
		if !p.options.serves(h.bridge, h.subnets) {
			continue
		}
		s := Server{Kind: p.options.kind(), PID: p.pid, Leases: p.options.leases}
		s.Evidence = fmt.Sprintf("dnsmasq, pid %d", p.pid)
		if p.options.file != "" && p.options.file != "/dev/null" {
			s.Evidence += ", of " + p.options.file
		}
		if s.Leases == "" && s.Kind == ServerLibvirt {
			s.Leases = h.libvirtStatus()
		}
		return s
	}
	return Server{}
}

// idle is a server that is configured, and that no process was found for. It is not dead where one runs of which this
// user cannot read what it serves: libvirt keeps its configuration to root.
func (h *dhcpHost) idle(kind, evidence, leases string) Server {
	secret := slices.ContainsFunc(h.dnsmasqs, func(p dnsmasqProcess) bool { return p.options.unread && p.options.kind() == kind })
	return Server{Kind: kind, Evidence: evidence, Leases: leases, Dead: h.seesAll && !secret}
}

func (h *dhcpHost) qlaunch() Server {
	conf := DNSConfig(h.bridge)
	if !h.has(conf) {
		return Server{}
	}
	o := dnsmasqOptions{root: h.root}
	o.readFile(conf, 0)
	return h.idle(ServerQlaunch, conf, cmp.Or(o.leases, LeaseFile(h.bridge)))
}

func (h *dhcpHost) libvirtStatus() string { return "/var/lib/libvirt/dnsmasq/" + h.bridge + ".status" }

// libvirt names its configuration after the network and its leases after the bridge.
func (h *dhcpHost) libvirt() Server {
	files, _ := filepath.Glob(h.at("/var/lib/libvirt/dnsmasq/*.conf"))
	for _, file := range files {
		o := dnsmasqOptions{root: h.root}
		conf := "/var/lib/libvirt/dnsmasq/" + filepath.Base(file)
		o.readFile(conf, 0)
		if o.serves(h.bridge, h.subnets) {
			return h.idle(ServerLibvirt, conf, h.libvirtStatus())
		}
	}
	if h.has(h.libvirtStatus()) {
		return h.idle(ServerLibvirt, h.libvirtStatus(), h.libvirtStatus())
	}
	return Server{}
}

func (h *dhcpHost) networkManager() Server {
	if leases := "/var/lib/NetworkManager/dnsmasq-" + h.bridge + ".leases"; h.has(leases) {
		return h.idle(ServerNetworkManager, leases, leases)
	}
	return Server{}
}

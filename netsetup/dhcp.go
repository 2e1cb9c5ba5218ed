package netsetup

import (
	"cmp"
	"fmt"
	"path/filepath"
)

// DHCPServer returns which program of this host serves DHCP on a bridge, or the zero Server if none is known. It reads
// what every user can read below root, normally "/": the command lines in /proc, the configuration files that they
// name, and the files that servers keep for an interface. A process takes precedence over a file, which remains after
// its server has ended.
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

// runningDnsmasq returns the dnsmasq process that serves DHCP on the bridge by its command line or configuration.
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

// libvirt returns libvirt's server, whose configuration is named after the network and whose leases after the bridge.
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

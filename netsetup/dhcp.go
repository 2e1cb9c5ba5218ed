package netsetup

import (
	"cmp"
	"fmt"
	"path/filepath"
)

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

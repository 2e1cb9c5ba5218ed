package netsetup

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

// plant makes a host's files below a new directory. A name that is a number is a process, with its command line.
func plant(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if !strings.HasPrefix(name, "/") {
			path = filepath.Join(root, "proc", name, "cmdline")
			program, _, _ := strings.Cut(text, " ")
			text = strings.ReplaceAll(text, " ", "\x00") + "\x00"
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			exe := filepath.Join(root, "usr/sbin", filepath.Base(program))
			must(t, os.MkdirAll(filepath.Dir(exe), 0o755))
			must(t, os.WriteFile(exe, nil, 0o755))
			must(t, os.Symlink(exe, filepath.Join(filepath.Dir(path), "exe")))
		}
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return root
}

const (
	libvirtConf = "# WARNING: THIS IS AN AUTO-GENERATED FILE\nstrict-order\npid-file=/run/libvirt/network/default.pid\n" +
		"except-interface=lo\nbind-dynamic\ninterface=virbr0\ndhcp-range=192.168.122.2,192.168.122.254,255.255.255.0\n"
	libvirtLine = "/usr/sbin/dnsmasq --conf-file=/var/lib/libvirt/dnsmasq/default.conf --leasefile-ro --dhcp-script=/usr/lib/libvirt/libvirt_leaseshelper"
	nmLine      = "/usr/sbin/dnsmasq --conf-file=/dev/null --no-hosts --keep-in-foreground --bind-interfaces --except-interface=lo --clear-on-reload " +
		"--strict-order --listen-address=10.42.0.1 --dhcp-range=10.42.0.10,10.42.0.254,60m --dhcp-leasefile=/var/lib/NetworkManager/dnsmasq-br0.leases"
	debianLine = "/usr/sbin/dnsmasq -x /run/dnsmasq/dnsmasq.pid -u dnsmasq -7 /etc/dnsmasq.d,.dpkg-dist,.dpkg-old,.dpkg-new --local-service"
)

func TestTheDHCPServerOfABridgeIsRecognised(t *testing.T) {
	tests := []struct {
		name, bridge string
		files        map[string]string
		want         Server
	}{
		{"none", "virbr0", nil, Server{}},
		{"libvirt's", "virbr0", map[string]string{"812": libvirtLine, "813": libvirtLine, "/var/lib/libvirt/dnsmasq/default.conf": libvirtConf},
			Server{Kind: ServerLibvirt, PID: 812, Evidence: "dnsmasq, pid 812, of /var/lib/libvirt/dnsmasq/default.conf", Leases: "/var/lib/libvirt/dnsmasq/virbr0.status"}},
		{"libvirt's for another bridge", "virbr1", map[string]string{"812": libvirtLine, "/var/lib/libvirt/dnsmasq/default.conf": libvirtConf}, Server{}},
		{"libvirt's network without DHCP", "virbr0", map[string]string{"812": libvirtLine,
			"/var/lib/libvirt/dnsmasq/default.conf": "interface=virbr0\n#dhcp-range=192.168.122.2,192.168.122.254\n"}, Server{}},
		{"libvirt's that is dead", "virbr0", map[string]string{"/var/lib/libvirt/dnsmasq/default.conf": libvirtConf},
			Server{Kind: ServerLibvirt, Evidence: "/var/lib/libvirt/dnsmasq/default.conf", Leases: "/var/lib/libvirt/dnsmasq/virbr0.status", Dead: true}},
		{"libvirt's, whose configuration is root's", "virbr0", map[string]string{"812": libvirtLine, "/var/lib/libvirt/dnsmasq/virbr0.status": "[]"},
			Server{Kind: ServerLibvirt, Evidence: "/var/lib/libvirt/dnsmasq/virbr0.status", Leases: "/var/lib/libvirt/dnsmasq/virbr0.status"}},
		{"libvirt's leases alone", "virbr0", map[string]string{"/var/lib/libvirt/dnsmasq/virbr0.status": "[]"},
			Server{Kind: ServerLibvirt, Evidence: "/var/lib/libvirt/dnsmasq/virbr0.status", Leases: "/var/lib/libvirt/dnsmasq/virbr0.status", Dead: true}},
		{"our own", "qlbr0", map[string]string{"77": "/usr/sbin/dnsmasq --keep-in-foreground --conf-file=/etc/qlaunch/dnsmasq-qlbr0.conf",
			"/etc/qlaunch/dnsmasq-qlbr0.conf": "interface=qlbr0\ndhcp-range=10.0.0.2,10.0.0.254,1h\ndhcp-leasefile=/var/lib/qlaunch/qlbr0.leases\n"},
			Server{Kind: ServerQlaunch, PID: 77, Evidence: "dnsmasq, pid 77, of /etc/qlaunch/dnsmasq-qlbr0.conf", Leases: "/var/lib/qlaunch/qlbr0.leases"}},
		{"our own that is dead", "qlbr0", map[string]string{"/etc/qlaunch/dnsmasq-qlbr0.conf": "interface=qlbr0\n"},
			Server{Kind: ServerQlaunch, Evidence: "/etc/qlaunch/dnsmasq-qlbr0.conf", Leases: "/var/lib/qlaunch/qlbr0.leases", Dead: true}},
		{"NetworkManager's", "br0", map[string]string{"901": nmLine},
			Server{Kind: ServerNetworkManager, PID: 901, Evidence: "dnsmasq, pid 901", Leases: "/var/lib/NetworkManager/dnsmasq-br0.leases"}},
		{"NetworkManager's leases alone", "br0", map[string]string{"/var/lib/NetworkManager/dnsmasq-br0.leases": ""},
			Server{Kind: ServerNetworkManager, Evidence: "/var/lib/NetworkManager/dnsmasq-br0.leases", Leases: "/var/lib/NetworkManager/dnsmasq-br0.leases", Dead: true}},
		{"Debian's", "br0", map[string]string{"55": debianLine, "/etc/dnsmasq.conf": "# nothing\n",
			"/etc/dnsmasq.d/lan.conf": "interface = br*\ndhcp-range=10.0.0.2,10.0.0.9\n", "/etc/dnsmasq.d/old.dpkg-old": "except-interface=br0\n"},
			Server{Kind: ServerDnsmasq, PID: 55, Evidence: "dnsmasq, pid 55"}},
		{"Debian's as it is installed", "br0", map[string]string{"55": debianLine, "/etc/dnsmasq.conf": "#interface=br0\n"}, Server{}},
		{"one started by hand", "virbr0", map[string]string{"9": "dnsmasq -C /dev/null -i virbr0 -F 192.168.122.2,192.168.122.254 -l /tmp/leases"},
			Server{Kind: ServerDnsmasq, PID: 9, Evidence: "dnsmasq, pid 9", Leases: "/tmp/leases"}},
		{"one that excepts it", "virbr0", map[string]string{"9": "dnsmasq --interface=virbr* --except-interface=virbr0 --dhcp-range=192.168.122.2,192.168.122.254"}, Server{}},
		{"files that include one another", "br0", map[string]string{"9": "dnsmasq --conf-file=/a", "/a": "conf-file=/b\nconf-dir=/\ninterface=br0\n", "/b": "conf-file=/a\ndhcp-range=10.0.0.2,10.0.0.9\n"},
			Server{Kind: ServerDnsmasq, PID: 9, Evidence: "dnsmasq, pid 9, of /a"}},
		{"networkd's", "br0", map[string]string{"300": "/lib/systemd/systemd-networkd",
			"/etc/systemd/network/50-br.network": "[Match]\nName=en* br*\n[Network]\nDHCPServer=yes\n", "/usr/lib/systemd/network/80-all.network": "[Match]\nName=*\n[Network]\nDHCPServer=no\n"},
			Server{Kind: ServerNetworkd, Evidence: "/etc/systemd/network/50-br.network: DHCPServer="}},
		{"networkd's with leases, dead", "br0", map[string]string{"/var/lib/systemd/network/dhcp-server-lease/br0": "{}"},
			Server{Kind: ServerNetworkd, Evidence: "/var/lib/systemd/network/dhcp-server-lease/br0", Leases: "/var/lib/systemd/network/dhcp-server-lease/br0", Dead: true}},
		{"networkd's by a drop-in", "br0", map[string]string{"300": "/lib/systemd/systemd-networkd", "/usr/lib/systemd/network/50-br.network": "[Match]\nName=br0\n",
			"/etc/systemd/network/50-br.network.d/dhcp.conf": "[Network]\nDHCPServer = true\n"},
			Server{Kind: ServerNetworkd, Evidence: "/usr/lib/systemd/network/50-br.network: DHCPServer="}},
		{"a file before networkd's", "br0", map[string]string{"300": "/lib/systemd/systemd-networkd", "/etc/systemd/network/10-br.network": "[Match]\nName=br0\n",
			"/etc/systemd/network/50-br.network": "[Match]\nName=br0\n[Network]\nDHCPServer=yes\n"}, Server{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{"1": "/sbin/init"}
			maps.Copy(files, tt.files)
			if diff := cmp.Diff(tt.want, DHCPServer(plant(t, files), tt.bridge)); diff != "" {
				t.Errorf("- want, + got:\n%s", diff)
			}
		})
	}
}

func TestAServerIsNotCalledDeadWhereProcessesAreHidden(t *testing.T) {
	root := plant(t, map[string]string{"/var/lib/libvirt/dnsmasq/default.conf": libvirtConf})
	if s := DHCPServer(root, "virbr0"); s.Kind != ServerLibvirt || s.Dead {
		t.Errorf("%+v", s)
	}
}

func TestAProcessOfAnotherUserOrNetworkIsNoServer(t *testing.T) {
	root := plant(t, map[string]string{"1": "init", "9": "dnsmasq --interface=br0 --dhcp-range=10.0.0.2,10.0.0.9"})
	for link, to := range map[string]string{"self/ns/net": "net:[1]", "9/ns/net": "net:[2]"} {
		path := filepath.Join(root, "proc", link)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.Symlink(to, path))
	}
	if s := DHCPServer(root, "br0"); s.Kind != "" {
		t.Errorf("of another network namespace: %+v", s)
	}
	must(t, os.Remove(filepath.Join(root, "proc/9/ns/net")))
	if s := DHCPServer(root, "br0"); s.PID != 9 {
		t.Errorf("of a namespace that cannot be seen: %+v", s)
	}
	if os.Geteuid() != 0 {
		return
	}
	must(t, os.Chown(filepath.Join(root, "proc/9"), 1234, 1234))
	if s := DHCPServer(root, "br0"); s.Kind != "" {
		t.Errorf("of another user: %+v", s)
	}
}

func TestAServerWithoutAnInterfaceServesTheSubnetsOfItsRanges(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	for i, name := range []string{"br0", "br1"} {
		addr, err := netlink.ParseAddr(fmt.Sprintf("10.0.%d.1/24", i))
		must(t, err)
		must(t, netlink.AddrAdd(addBridge(t, name, true), addr))
	}
	root := plant(t, map[string]string{"1": "init", "9": "dnsmasq --dhcp-range=set:guests,10.0.1.2,10.0.1.9,1h"})
	if s := DHCPServer(root, "br1"); s.Kind != ServerDnsmasq {
		t.Errorf("its subnet: %+v", s)
	}
	if s := DHCPServer(root, "br0"); s.Kind != "" {
		t.Errorf("another subnet: %+v", s)
	}
}

package netsetup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// program makes a program of the planted host's: a shell script.
func program(t *testing.T, root, name, script string) {
	t.Helper()
	path := filepath.Join(root, "usr/sbin", name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
}

// address gives a link an IPv4 address.
func address(t *testing.T, link netlink.Link, cidr string) {
	t.Helper()
	addr, err := netlink.ParseAddr(cidr)
	must(t, err)
	must(t, netlink.AddrAdd(link, addr))
}

const ownConf = "interface=qlbr0\ndhcp-range=10.0.0.2,10.0.0.254,1h\ndhcp-leasefile=/var/lib/qlaunch/qlbr0.leases\n"

// readyFiles are those of a host on which qlbr0 is as net setup leaves it.
func readyFiles() map[string]string {
	return map[string]string{
		"1": "/sbin/init", "77": "/usr/sbin/dnsmasq --conf-file=/etc/qlaunch/dnsmasq-qlbr0.conf",
		"/etc/qlaunch/dnsmasq-qlbr0.conf": ownConf,
		"/var/lib/qlaunch/qlbr0.leases":   "",
		"/proc/sys/net/ipv4/ip_forward":   "1\n",
	}
}

func readyHost(t *testing.T) (root string) {
	t.Helper()
	root = plant(t, readyFiles())
	program(t, root, "iptables", `[ "$1" = --wait ] || { echo "Another app is currently holding the xtables lock." >&2; exit 4; }; echo '-P FORWARD ACCEPT'`)
	program(t, root, "nft", `echo '{"nftables": []}'`)
	return root
}

func TestTheExaminationOfAReadyHost(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	nothingLeaks(t)
	write(t, DefaultACL, "allow qlbr0\n")
	address(t, addBridge(t, "qlbr0", true), "10.0.0.1/24")
	mac, err := net.ParseMAC("52:54:00:53:52:b1")
	must(t, err)
	var ran []string
	r := Examine(t.Context(), CheckQuery{Root: readyHost(t), MACs: []net.HardwareAddr{mac}, Runs: func(argv []string) { ran = append(ran, strings.Join(argv, " ")) }})
	want := `ok bridge: qlbr0
ok bridge-up: qlbr0 is up
ok bridge-address: qlbr0 has 10.0.0.1/24
ok bridge-ports: none
ok stp: off
ok acl: /etc/qemu/bridge.conf:1: allow qlbr0
ok helper: /usr/lib/qemu/qemu-bridge-helper
ok helper-privilege: this process passes CAP_NET_ADMIN on
skipped group: no group is needed
skipped group-manager: no group is needed
ok tun: /dev/net/tun
ok dhcp: qlaunch: dnsmasq, pid 77, of /etc/qlaunch/dnsmasq-qlbr0.conf
ok leases: /var/lib/qlaunch/qlbr0.leases
ok listeners: the DHCP server runs
ok input-policy: no policy drops what guests ask the DHCP server
ok forwarding: net.ipv4.ip_forward = 1
ok forward-policy: no policy drops what guests send
ok bridge-netfilter: br_netfilter is not loaded
skipped bridge-forward: not needed: no physical port
ok nat: nft tables ip, inet and bridge qlaunch
ok routes: none collides
ok mtu: qlbr0 has 1500
ok mac: no other port uses this MAC
skipped port: no guest that runs
skipped networkmanager: it does not run here
`
	if diff := cmp.Diff(want, table(r)); diff != "" {
		t.Errorf("report, - want, + got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"iptables --wait -S", "nft -j -t list ruleset", "iptables --wait -S", "nft -j -t list ruleset", "nft list table ip qlaunch", "nft list table inet qlaunch", "nft list table bridge qlaunch"}, ran); diff != "" {
		t.Errorf("programs, - want, + got:\n%s", diff)
	}
	must(t, r.Err())
}

// Each row takes one thing from a ready host, and one check says so.
func TestTheExaminationFindsWhatIsMissing(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	write(t, DefaultACL, "allow qlbr0\n")
	br := addBridge(t, "qlbr0", true)
	address(t, br, "10.0.0.1/24")
	tests := []struct {
		name   string
		change func(root string)
		want   string
	}{
		{"server dead", func(root string) { must(t, os.RemoveAll(root+"/proc/77")) },
			`fail dhcp: bridge "qlbr0": its DHCP server does not run: /etc/qlaunch/dnsmasq-qlbr0.conf`},
		{"no server", func(root string) { must(t, os.RemoveAll(root+"/proc/77")); must(t, os.RemoveAll(root+"/etc")) },
			`warn dhcp: bridge "qlbr0": no DHCP server is known: guests get no address unless their own configuration has one`},
		{"leases unreadable", func(root string) {
			leases := root + "/var/lib/qlaunch/qlbr0.leases"
			must(t, os.Remove(leases))
			must(t, os.Symlink(leases, leases))
		}, `warn leases: bridge "qlbr0": lease file not readable by this user: /var/lib/qlaunch/qlbr0.leases`},
		{"no leases yet", func(root string) { must(t, os.Remove(root+"/var/lib/qlaunch/qlbr0.leases")) },
			`ok leases: /var/lib/qlaunch/qlbr0.leases: not there yet`},
		{"port 67 taken", func(root string) {
			must(t, os.RemoveAll(root+"/proc/77"))
			write(t, root+"/proc/net/udp", "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"+
				"  100: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0000000000000000 0\n"+
				"  200: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0000000000000000 0\n")
		}, "warn listeners: udp port 67: taken on every address of the host: by a process of user root"},
		{"port 53 taken", func(root string) {
			must(t, os.RemoveAll(root+"/proc/77"))
			write(t, root+"/proc/net/tcp6", "  sl  local_address remote_address st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"+
				"  0: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n")
		}, "warn listeners: tcp port 53: taken on every address of the host: by a process of user root"},
		{"forwarding off", func(root string) { write(t, root+"/proc/sys/net/ipv4/ip_forward", "0\n") },
			`warn forwarding: bridge "qlbr0": forwarding is off, guests reach this host alone: net.ipv4.ip_forward = 0`},
		{"br_netfilter", func(root string) { write(t, root+"/proc/sys/net/bridge/bridge-nf-call-iptables", "1\n") },
			`ok bridge-netfilter: bridge-nf-call-iptables = 1: guests reach one another through the FORWARD chain`},
		{"Docker's policy", func(root string) {
			program(t, root, "iptables", "echo '-P FORWARD DROP'; echo '-A FORWARD -j DOCKER-USER'; echo '-A DOCKER-USER -j RETURN'; echo '-A FORWARD -o docker0 -j ACCEPT'")
		}, `fail forward-policy: bridge "qlbr0": the firewall lets guests reach this host alone: iptables: FORWARD has the policy DROP, and no rule accepts what comes from qlbr0`},
		{"another firewall", func(root string) {
			program(t, root, "nft", `echo '{"nftables": [{"metainfo": {}}, {"chain": {"family": "inet", "table": "fw", "name": "fwd", "hook": "forward", "prio": 0, "policy": "drop"}}]}'`)
		}, `fail forward-policy: bridge "qlbr0": the firewall lets guests reach this host alone: nft chain inet fw fwd has the policy drop`},
		{"a firewall that knows more than we can tell", func(root string) {
			program(t, root, "nft", `echo '{"nftables": [{"chain": {"family": "inet", "table": "fw", "name": "fwd", "hook": "forward", "prio": 0, "policy": "drop"}},`+
				`{"rule": {"family": "inet", "table": "fw", "chain": "fwd", "expr": [{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "@guests"}}, {"accept": null}]}}]}'`)
		}, `warn forward-policy: bridge "qlbr0": a firewall drops what it does not know: nft chain inet fw fwd has the policy drop`},
		{"a ruleset that makes no sense", func(root string) { program(t, root, "nft", "echo '{'") },
			`warn input-policy: bridge "qlbr0": a firewall drops what it does not know: nft: unexpected end of JSON input`},
		{"a firewall that rejects what it does not know", func(root string) {
			program(t, root, "iptables", "echo '-P INPUT ACCEPT'; echo '-A INPUT -i lo -j ACCEPT'; echo '-A INPUT -j REJECT --reject-with icmp-host-prohibited'")
		}, `fail input-policy: bridge "qlbr0": the firewall keeps guests from this host's DHCP server: iptables: -A INPUT -j REJECT --reject-with icmp-host-prohibited`},
		{"ufw's policy", func(root string) { program(t, root, "iptables", "echo '-P INPUT DROP'") },
			`fail input-policy: bridge "qlbr0": the firewall keeps guests from this host's DHCP server: iptables: INPUT has the policy DROP, and no rule accepts what comes from qlbr0`},
		{"a firewall that cannot be asked", func(root string) { program(t, root, "iptables", "echo 'Fatal: \033[31mno' >&2; exit 4") },
			`warn forward-policy: bridge "qlbr0": a firewall drops what it does not know: iptables: exit status 4: Fatal: ` + "\x1b[31mno"},
		{"rules flushed", func(root string) {
			program(t, root, "nft", `[ "$1" = list ] || exit 0; printf 'Error: No such file or directory\nlist table ip qlaunch\n^^^\n' >&2; exit 1`)
		}, `fail nat: bridge "qlbr0": qlaunch's firewall rules are not in force: table ip qlaunch: nft: exit status 1: Error: No such file or directory`},
		{"rules of an earlier version", func(root string) {
			program(t, root, "nft", `[ "$3" != inet ] || { echo 'Error: No such file or directory' >&2; exit 1; }; echo '{"nftables": []}'`)
		}, `fail nat: bridge "qlbr0": some of qlaunch's firewall rules are not in force: table inet qlaunch: nft: exit status 1: Error: No such file or directory`},
		{"NetworkManager leaves it alone", func(root string) {
			write(t, root+"/run/NetworkManager/x", "")
			program(t, root, "nmcli", "echo '100 (connected (externally))'")
		}, "ok networkmanager: 100 (connected (externally))"},
		{"NetworkManager wants it", func(root string) {
			write(t, root+"/run/NetworkManager/x", "")
			program(t, root, "nmcli", "echo '30 (disconnected)'")
		}, `warn networkmanager: bridge "qlbr0": NetworkManager manages it, and may take it down: 30 (disconnected)`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := readyHost(t)
			tt.change(root)
			if got := table(Examine(t.Context(), CheckQuery{Root: root})); !strings.Contains(got, tt.want+"\n") {
				t.Errorf("want %s in\n%s", tt.want, got)
			}
		})
	}
}

func TestTheExaminationLooksAtTheKernelsTables(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	write(t, DefaultACL, "allow virbr0\n")
	br := addBridge(t, "virbr0", true)
	address(t, br, "192.168.122.1/24")
	vpn := addLink(t, &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "vpn0", MTU: 1400}, PeerName: "vpn0-peer"}, true)
	address(t, vpn, "10.8.0.2/24")
	_, any, err := net.ParseCIDR("0.0.0.0/0")
	must(t, err)
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: vpn.Attrs().Index, Dst: any, Gw: net.IPv4(10, 8, 0, 1)}))
	_, lan, err := net.ParseCIDR("192.168.0.0/16")
	must(t, err)
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: vpn.Attrs().Index, Dst: lan}))
	port := addVeth(t, "other0", br.Attrs().Index)
	mac, err := net.ParseMAC("52:54:00:53:52:b1")
	must(t, err)
	must(t, netlink.NeighAppend(&netlink.Neigh{LinkIndex: port.Attrs().Index, Family: unix.AF_BRIDGE, State: unix.NUD_NOARP, Flags: unix.NTF_MASTER, HardwareAddr: mac}))

	got := table(Examine(t.Context(), CheckQuery{Root: t.TempDir(), MACs: []net.HardwareAddr{mac}}))
	for _, want := range []string{
		"ok bridge-ports: other0: none leads out of this host",
		`warn routes: bridge "virbr0": another route has addresses of its subnet: virbr0 has 192.168.122.1/24, and another link 192.168.0.0/16`,
		`warn mtu: bridge "virbr0": larger packets than the way out takes: virbr0 has an MTU of 1500, vpn0 one of 1400`,
		`warn mac: bridge "virbr0": a guest's MAC is another's: 52:54:00:53:52:b1 was seen on other0`,
		"skipped nat: virbr0 is not qlaunch's own",
		`warn dhcp: bridge "virbr0": no DHCP server is known: guests get no address unless their own configuration has one`,
		"skipped forwarding: /proc/sys/net/ipv4/ip_forward: not readable",
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("want %s in\n%s", want, got)
		}
	}
}

func TestAVPNThatTakesAllTrafficIsAWayOut(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	write(t, DefaultACL, "allow virbr0\n")
	address(t, addBridge(t, "virbr0", true), "192.168.122.1/24")
	link := func(name, own string, mtu int) int {
		l := addLink(t, &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, MTU: mtu}, PeerName: name + "-peer"}, true)
		address(t, l, own)
		return l.Attrs().Index
	}
	route := func(link int, to string, table int) {
		_, dst, err := net.ParseCIDR(to)
		must(t, err)
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link, Dst: dst, Table: table}))
	}
	lan, half := link("lan0", "10.0.0.2/24", 1500), link("half0", "10.8.0.2/24", 1400)
	route(lan, "0.0.0.0/0", unix.RT_TABLE_MAIN)
	route(half, "0.0.0.0/1", unix.RT_TABLE_MAIN)
	route(half, "128.0.0.0/1", unix.RT_TABLE_MAIN)
	examine := func() string { return table(Examine(t.Context(), CheckQuery{Root: t.TempDir()})) }
	for _, want := range []string{
		"ok routes: none collides",
		`warn mtu: bridge "virbr0": larger packets than the way out takes: virbr0 has an MTU of 1500, half0 one of 1400`,
	} {
		if got := examine(); !strings.Contains(got, want+"\n") {
			t.Errorf("want %s in\n%s", want, got)
		}
	}

	must(t, netlink.LinkDel(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "half0", Index: half}}))
	const ofItsOwn = 51820 // as wg-quick(8) has it
	other := link("wg0", "10.9.0.2/24", 1420)
	route(other, "0.0.0.0/0", ofItsOwn)
	want := `warn mtu: bridge "virbr0": larger packets than the way out takes: virbr0 has an MTU of 1500, wg0 one of 1420`
	if got := examine(); !strings.Contains(got, want+"\n") {
		t.Errorf("want %s in\n%s", want, got)
	}
	route(other, "192.168.0.0/16", ofItsOwn)
	want = `warn routes: bridge "virbr0": another route has addresses of its subnet: virbr0 has 192.168.122.1/24, and another link 192.168.0.0/16`
	if got := examine(); !strings.Contains(got, want+"\n") {
		t.Errorf("want %s in\n%s", want, got)
	}
}

func TestWhichBridgesAreOursIsLookedUpBelowTheRoot(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	write(t, DefaultACL, "allow all\n")
	addBridge(t, "guests0", false)
	ours := plant(t, map[string]string{DNSConfig("guests0"): "interface=guests0\n"})
	for _, bridge := range []string{"guests0", Auto} {
		for root, own := range map[string]bool{ours: true, t.TempDir(): false} {
			e, ok := errors.AsType[*BridgeError](Check(t.Context(), CheckQuery{Bridge: bridge, Root: root}).Err())
			if !ok || !errors.Is(e, ErrBridgeDown) || e.Own != own {
				t.Errorf("%s: got %+v, want own %v", bridge, e, own)
			}
		}
	}
}

func TestABridgeOntoALANIsNeitherServedNorForwardedByThisHost(t *testing.T) {
	lan := func() *Report {
		return &Report{Bridge: Bridge{Name: "br0", Ports: []string{"eth0", "tap0"}, Uplinks: []string{"eth0"}}}
	}
	root := plant(t, map[string]string{"/proc/sys/net/ipv4/ip_forward": "0\n"})
	served := plant(t, map[string]string{"1": "init", "9": "dnsmasq -i br0 -F 10.0.0.2,10.0.0.9"})
	tests := []struct {
		look func(context.Context, CheckQuery, *Report) Result
		root string
		want string
	}{
		{checkAddress, root, "ok: br0 has none, and eth0 leads to another network"},
		{checkPorts, root, "ok: eth0: guests are on that network"},
		{checkPorts, served, `warn: bridge "br0": guests and this host's DHCP server are on that network too: eth0`},
		{checkDHCP, root, "ok: none of this host's: that of the network behind eth0"},
		{checkListeners, root, "skipped: no server of this host's is needed"},
		{checkForwarding, root, "skipped: guests are on the network behind eth0"},
		{checkMTU, root, "skipped: guests are on the network behind eth0"},
	}
	for _, tt := range tests {
		r := tt.look(t.Context(), CheckQuery{Root: tt.root}, lan())
		if got := fmt.Sprintf("%s: %s", r.Level, r.Evidence); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	for link, want := range map[netlink.Link]bool{&netlink.Device{}: true, &netlink.Vlan{}: true, &netlink.Veth{}: false, &netlink.Tuntap{}: false} {
		if got := leadsOut(link); got != want {
			t.Errorf("%s leads out: %v", link.Type(), got)
		}
	}
}

func TestOfBridgesThatDoNotFitTheNearestIsExamined(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	write(t, DefaultACL, "allow virbr0\n")
	addBridge(t, "br0", true)
	addBridge(t, "virbr0", false)
	got := table(Examine(t.Context(), CheckQuery{Root: t.TempDir()}))
	want := `fail bridge: no bridge fits: bridge "virbr0": bridge is down; bridge "br0": not allowed: not mentioned in /etc/qemu/bridge.conf
fail bridge-up: bridge "virbr0": bridge is down
warn bridge-address: bridge "virbr0": no IPv4 address: guests get none from this host
ok bridge-ports: none
ok stp: off
ok acl: /etc/qemu/bridge.conf:1: allow virbr0
`
	if !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAProgramThatHangsOrFloodsHoldsNothingUp(t *testing.T) {
	root := t.TempDir()
	program(t, root, "hangs", "sleep 1000 & sleep 1000")
	program(t, root, "floods", "yes")
	for _, name := range []string{"hangs", "floods"} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		out, err := CheckQuery{Root: root}.run(ctx, name)
		if fmt.Sprint(err) != name+": no answer in time" || len(out) > commandOutput {
			t.Errorf("%v, %d bytes", err, len(out))
		}
	}
	if _, err := (CheckQuery{Root: root}).run(t.Context(), "absent"); fmt.Sprint(err) != "absent: not installed" {
		t.Error(err)
	}
}

// An ordinary user does not see the firewall, and has groups that count.
func TestTheExaminationOfAnOrdinaryUser(t *testing.T) {
	if !inNamespace(t) || inUserNamespace() {
		return
	}
	const group = 4711
	write(t, "/etc/group", "kvm:x:4711:nobody\n")
	write(t, DefaultACL, "allow qlbr0\n")
	address(t, addBridge(t, "qlbr0", true), "10.0.0.1/24")
	helper := copyTo(t, realHelper, lab+"/setuid-helper", 0o755)
	must(t, os.Chown(helper, 0, group))
	must(t, unix.Chmod(helper, 0o4750))

	root := lab + "/root"
	must(t, os.CopyFS(root, os.DirFS(readyHost(t))))
	must(t, os.MkdirAll(root+"/run/systemd/system", 0o755))
	program(t, root, "systemctl", "echo inactive; exit 3")
	write(t, root+"/proc/500/cmdline", "/lib/systemd/systemd\x00--user\x00")
	write(t, root+"/proc/500/status", "Name:\tsystemd\nGid:\t65534\t65534\t65534\t65534\nGroups:\t65534 \n")
	must(t, os.Chown(root+"/proc/500", nobody, nobody))

	want := `ok group: this process is in group kvm
warn group-manager: systemd --user, pid 500: began before this user was in the group, what it starts lacks it: group kvm
skipped forward-policy: needs root: sudo qlaunch doctor
fail nat: bridge "qlbr0": qlaunch's firewall rules are not in force: qlaunch-net.service is inactive`
	if diff := cmp.Diff(want, probe(t, rights{uid: nobody, gid: group}, helper, "qlbr0", root)); diff != "" {
		t.Errorf("in the group, - want, + got:\n%s", diff)
	}

	write(t, "/etc/group", "kvm:x:4711:\n")
	program(t, root, "systemctl", "echo active")
	want = `fail group: bridge helper ` + helper + `: not executable by this user: this process is not in group kvm
skipped group-manager: this user is not in group kvm
skipped forward-policy: needs root: sudo qlaunch doctor
ok nat: qlaunch-net.service is active; the rules themselves: needs root: sudo qlaunch doctor`
	if diff := cmp.Diff(want, probe(t, rights{uid: nobody, gid: nobody}, helper, "qlbr0", root)); diff != "" {
		t.Errorf("not in the group, - want, + got:\n%s", diff)
	}

	write(t, "/etc/group", "kvm:x:4711:nobody\n")
	write(t, root+"/proc/500/status", "Groups:\t65534 4711 \n")
	want = `fail group: bridge helper ` + helper + `: not executable by this user: this process is not in group kvm
ok group-manager: systemd --user, pid 500, is in group kvm
skipped forward-policy: needs root: sudo qlaunch doctor
ok nat: qlaunch-net.service is active; the rules themselves: needs root: sudo qlaunch doctor`
	if diff := cmp.Diff(want, probe(t, rights{uid: nobody, gid: nobody}, helper, "qlbr0", root)); diff != "" {
		t.Errorf("not in the group yet, - want, + got:\n%s", diff)
	}
}

func TestTheWildcardIsEveryAddress(t *testing.T) {
	if _, taken := wildcard("sl x\n 1: 017AA8C0:0043 0:0 07 0:0 0:0 0 0 0 1\n", 67); taken {
		t.Error("192.168.122.1:67 is not every address")
	}
	if _, taken := wildcard("garbage\n:\n 1: 00000000:zz 0:0 07 0:0 0:0 0 0 0 1\n", 67); taken {
		t.Error("garbage")
	}
}

func TestARouteWithoutADestinationIsTheDefaultRoute(t *testing.T) {
	if to := destination(netlink.Route{}); to.String() != "0.0.0.0/0" || !(Route{To: to}).isDefault() {
		t.Error(to)
	}
}

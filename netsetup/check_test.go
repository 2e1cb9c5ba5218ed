package netsetup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// table is a report as text: a check a line.
func table(r Report) string {
	var b strings.Builder
	for _, c := range r.Results {
		fmt.Fprintf(&b, "%s %s: %s\n", c.Level, c.ID, c.Evidence)
	}
	return b.String()
}

func TestThePreflightOfAReadyHost(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	nothingLeaks(t)
	write(t, DefaultACL, "allow virbr0\n")
	br := addBridge(t, "virbr0", true)
	addr, err := netlink.ParseAddr("192.168.122.1/24")
	must(t, err)
	must(t, netlink.AddrAdd(br, addr))
	r := Check(t.Context(), CheckQuery{})
	must(t, r.Err())
	want := `ok bridge: virbr0
ok bridge-up: virbr0 is up
ok bridge-address: virbr0 has 192.168.122.1/24
ok acl: /etc/qemu/bridge.conf:1: allow virbr0
ok helper: /usr/lib/qemu/qemu-bridge-helper
ok helper-privilege: this process passes CAP_NET_ADMIN on
ok tun: /dev/net/tun
`
	if diff := cmp.Diff(want, table(r)); diff != "" {
		t.Errorf("report, - want, + got:\n%s", diff)
	}
	if r.Bridge.Name != "virbr0" || r.Helper != realHelper {
		t.Errorf("found %q and %q", r.Bridge.Name, r.Helper)
	}
}

func TestThePreflightOfAFreshHost(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	must(t, unix.Mount("tmpfs", "/dev/net", "tmpfs", 0, ""))
	r := Check(t.Context(), CheckQuery{Helper: "/opt/absent"})
	want := `fail bridge: bridge auto: no such bridge: no bridge on this host
skipped bridge-up: no bridge
skipped bridge-address: no bridge
skipped acl: no bridge
fail helper: bridge helper: no qemu-bridge-helper: looked for /opt/absent
skipped helper-privilege: no helper
fail tun: /dev/net/tun: no tun device: no such file or directory
`
	if diff := cmp.Diff(want, table(r)); diff != "" {
		t.Errorf("report, - want, + got:\n%s", diff)
	}
	wantError(t, r.Err(), ErrNoBridge, "bridge auto: no such bridge: no bridge on this host")
}

func TestThePreflightWarnsOfWhatMayBeMeant(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	write(t, DefaultACL, "allow all\n")
	addBridge(t, "br0", true)
	r := Check(t.Context(), CheckQuery{Bridge: "br0"})
	must(t, r.Err())
	var warnings []string
	for _, c := range r.Results {
		if c.Level == Warn {
			warnings = append(warnings, c.ID+": "+c.Err.Error())
		}
	}
	want := []string{
		`bridge-address: bridge "br0": no IPv4 address: guests get none from this host`,
		"acl: acl: opens every bridge of the host, a LAN's too: /etc/qemu/bridge.conf:1: allow all",
	}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("warnings, - want, + got:\n%s", diff)
	}
}

func TestThePreflightFindsABridgeThatIsDownOrIsNone(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	write(t, DefaultACL, "allow all\n")
	addBridge(t, "br0", false)
	addVeth(t, "eth7", 0)
	wantError(t, Check(t.Context(), CheckQuery{Bridge: "br0"}).Err(), ErrBridgeDown, `bridge "br0": bridge is down`)
	wantError(t, Check(t.Context(), CheckQuery{Bridge: "eth7"}).Err(), ErrNotBridge, `bridge "eth7": not a bridge: a link of type veth`)
	wantError(t, Check(t.Context(), CheckQuery{Bridge: "nosuch"}).Err(), ErrNoBridge, `bridge "nosuch": no such bridge`)

	// The helper itself says less, and of the first of them nothing.
	tap, err := OpenTap(t.Context(), realHelper, "br0")
	must(t, err)
	must(t, tap.File.Close())
	_, err = OpenTap(t.Context(), realHelper, "eth7")
	wantError(t, err, ErrNotBridge, "tap on eth7: bridge helper "+realHelper+": not a bridge: failed to add interface `tap0' to bridge `eth7': Operation not supported")
	_, err = OpenTap(t.Context(), realHelper, "nosuch")
	wantError(t, err, ErrNoBridge, "tap on nosuch: bridge helper "+realHelper+": no such bridge: failed to get mtu of bridge `nosuch': No such device")
}

func TestACancelledPreflightFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Check(ctx, CheckQuery{}).Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("not cancelled: %v", err)
	}
}

// Each row is a host on which the real helper fails, or does not, for a process with the given rights; the preflight
// must say so too, before it.
func TestThePreflightSaysWhatTheRealHelperThenMeets(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	addBridge(t, "virbr0", true)
	plain := copyTo(t, realHelper, lab+"/plain-helper", 0o755)
	setuid := copyTo(t, realHelper, lab+"/setuid-helper", 0o4755)
	must(t, os.MkdirAll(lab+"/nosuid", 0o755))
	must(t, unix.Mount("tmpfs", lab+"/nosuid", "tmpfs", unix.MS_NOSUID, "mode=0755"))
	nosuid := copyTo(t, realHelper, lab+"/nosuid/helper", 0o4755)
	closed := copyTo(t, realHelper, lab+"/closed-helper", 0)
	const inc = "/etc/qemu/bridge.conf.d/qlaunch.conf"

	tests := []struct {
		name   string
		rights rights
		helper string
		acl    func()
		check  string // after "check: "
		tap    string // after "tap on virbr0: bridge helper HELPER: "
	}{
		{"not setuid", rights{}, plain, nil,
			"bridge helper HELPER: not setuid root: root:root 0755",
			"not setuid root: root:root 0755: failed to create tun device: Operation not permitted"},
		{"no_new_privs", rights{noNewPrivs: true}, setuid, nil,
			"bridge helper HELPER: no_new_privs is set, setuid has no effect: NoNewPrivs: 1 in /proc/self/status",
			"no_new_privs is set, setuid has no effect: NoNewPrivs: 1 in /proc/self/status: failed to create tun device: Operation not permitted"},
		{"nosuid mount", rights{}, nosuid, nil,
			"bridge helper HELPER: on a nosuid mount, setuid has no effect: root:root 4755",
			"on a nosuid mount, setuid has no effect: root:root 4755: failed to create tun device: Operation not permitted"},
		{"user namespace", rights{userNS: true}, setuid, nil,
			"bridge helper HELPER: inside a user namespace that does not own the network: the network namespace belongs to another user namespace",
			"inside a user namespace that does not own the network: the network namespace belongs to another user namespace: failed to create tun device: Operation not permitted"},
		{"closed helper", rights{}, closed, nil,
			"bridge helper HELPER: not executable by this user: root:root 0000",
			"not executable by this user"},
		{"closed ACL", rights{}, plain, func() { must(t, os.Chmod(DefaultACL, 0)) },
			`bridge "virbr0": ACL file not readable by this user: /etc/qemu/bridge.conf is for group root`,
			"ACL file not readable by this user: /etc/qemu/bridge.conf is for group root: failed to parse default acl file `/etc/qemu/bridge.conf'"},
		{"closed include", rights{}, plain, func() {
			write(t, DefaultACL, "include "+inc+"\n")
			write(t, inc, "allow virbr0\n")
			must(t, os.Chmod(inc, 0))
		},
			`bridge "virbr0": ACL file not readable by this user: ` + inc + " is for group root",
			"ACL file not readable by this user: " + inc + " is for group root: access denied by acl file"},
		{"no ACL", rights{}, plain, func() { must(t, os.Remove(DefaultACL)) },
			`bridge "virbr0": no ACL file: /etc/qemu/bridge.conf`,
			"no ACL file: /etc/qemu/bridge.conf: failed to parse default acl file `/etc/qemu/bridge.conf'"},
		{"not mentioned", rights{}, plain, func() { write(t, DefaultACL, "allow br0\n") },
			`bridge "virbr0": not allowed: not mentioned in /etc/qemu/bridge.conf`,
			"not allowed: not mentioned in /etc/qemu/bridge.conf: access denied by acl file"},
		{"a comment behind the name", rights{}, plain, func() { write(t, DefaultACL, "\nallow virbr0 # c\n") },
			`bridge "virbr0": not allowed, its rule ends in a comment: /etc/qemu/bridge.conf:2: allow virbr0 # c`,
			"not allowed, its rule ends in a comment: /etc/qemu/bridge.conf:2: allow virbr0 # c: access denied by acl file"},
		{"denied after allow all", rights{}, plain, func() { write(t, DefaultACL, "allow all\ndeny virbr0\n") },
			`bridge "virbr0": not allowed: /etc/qemu/bridge.conf:2: deny virbr0`,
			"not allowed: /etc/qemu/bridge.conf:2: deny virbr0: access denied by acl file"},
		{"denied by an include", rights{}, plain, func() {
			write(t, DefaultACL, "allow virbr0\ninclude "+inc+"\n")
			write(t, inc, "# by the admin\ndeny all\n")
		},
			`bridge "virbr0": not allowed: ` + inc + `:2: deny all`,
			"not allowed: " + inc + ":2: deny all: access denied by acl file"},
		{"a junk line", rights{}, plain, func() { write(t, DefaultACL, "allow virbr0\nALLOW br0\n") },
			`bridge "virbr0": ACL file has a bad line: /etc/qemu/bridge.conf:2: "ALLOW": must be allow, deny or include`,
			`ACL file has a bad line: /etc/qemu/bridge.conf:2: "ALLOW": must be allow, deny or include: ` +
				"Unknown command `ALLOW'; failed to parse default acl file `/etc/qemu/bridge.conf'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write(t, DefaultACL, "allow virbr0\n")
			if tt.acl != nil {
				tt.acl()
			}
			want := strings.ReplaceAll(fmt.Sprintf("check: %s\ntap on virbr0: bridge helper HELPER: %s", tt.check, tt.tap), "HELPER", tt.helper)
			if diff := cmp.Diff(want, probe(t, tt.rights, tt.helper, "virbr0")); diff != "" {
				t.Errorf("- want, + got:\n%s", diff)
			}
		})
	}
}

func TestATunDeviceThatIsAbsentOrClosed(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	addBridge(t, "virbr0", true)
	write(t, DefaultACL, "allow virbr0\n")
	must(t, unix.Mount("tmpfs", "/dev/net", "tmpfs", 0, "mode=0755"))
	setuid := copyTo(t, realHelper, lab+"/setuid-helper", 0o4755)
	steps := []struct{ name, want string }{
		{"absent", "check: /dev/net/tun: no tun device: no such file or directory\n" +
			"tap on virbr0: bridge helper HELPER: no tun device: failed to open /dev/net/tun: No such file or directory"},
		{"closed", "check: /dev/net/tun: tun device not open to this user: permission denied\n" +
			"tap on virbr0: bridge helper HELPER: tun device not open to this user: failed to open /dev/net/tun: Permission denied"},
	}
	for _, tt := range steps {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "closed" { // a file will do: the open never gets to the device
				must(t, os.WriteFile(tunDevice, nil, 0))
			}
			if diff := cmp.Diff(strings.ReplaceAll(tt.want, "HELPER", setuid), probe(t, rights{}, setuid, "virbr0")); diff != "" {
				t.Errorf("- want, + got:\n%s", diff)
			}
		})
	}
}

// Started by root, this is the way on a real host: an ordinary user, a setuid helper 4750 and an ACL for a group. Started by
// an ordinary user, it is that user, as root of an own user namespace, where the helper needs no setuid bit.
func TestAnOrdinaryUserGetsATap(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	addBridge(t, "virbr0", true)
	write(t, DefaultACL, "allow virbr0\n")
	if inUserNamespace() {
		tap, err := OpenTap(t.Context(), realHelper, "virbr0")
		must(t, err)
		must(t, tap.File.Close())
		return
	}
	const group = 4711
	write(t, "/etc/group", "kvm:x:4711:\n")
	helper := copyTo(t, realHelper, lab+"/setuid-helper", 0o755)
	for _, path := range []string{helper, DefaultACL} {
		must(t, os.Chown(path, 0, group))
	}
	must(t, unix.Chmod(helper, 0o4750))
	must(t, os.Chmod(DefaultACL, 0o640))
	if diff := cmp.Diff("check: ok\ntap: tap0", probe(t, rights{uid: nobody, gid: group}, helper, "virbr0")); diff != "" {
		t.Errorf("in the group, - want, + got:\n%s", diff)
	}
	want := `check: bridge "virbr0": ACL file not readable by this user: /etc/qemu/bridge.conf is for group kvm` +
		"\ntap on virbr0: bridge helper " + helper + ": not executable by this user"
	if diff := cmp.Diff(want, probe(t, rights{uid: nobody, gid: nobody}, helper, "virbr0")); diff != "" {
		t.Errorf("not in the group, - want, + got:\n%s", diff)
	}

	// Joined since the login: the group's name is in the user database, and not in the process.
	write(t, "/etc/group", "kvm:x:4711:nobody\n")
	want = strings.Replace(want, "group kvm\n", "group kvm, which this session does not have yet\n", 1)
	if diff := cmp.Diff(want, probe(t, rights{uid: nobody, gid: nobody}, helper, "virbr0")); diff != "" {
		t.Errorf("joined later, - want, + got:\n%s", diff)
	}

	// The other way to give it what it needs: setcap cap_net_admin+ep.
	capable := copyTo(t, realHelper, lab+"/capable-helper", 0o755)
	attribute := []byte{1, 0, 0, 2, 0, 1 << (unix.CAP_NET_ADMIN - 8), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // revision 2, effective
	must(t, unix.Setxattr(capable, "security.capability", attribute, 0))
	if diff := cmp.Diff("check: ok\ntap: tap0", probe(t, rights{uid: nobody, gid: group}, capable, "virbr0")); diff != "" {
		t.Errorf("with file capabilities, - want, + got:\n%s", diff)
	}
}

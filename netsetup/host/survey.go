package host

import (
	"context"
	"os"
	"os/user"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/netsetup"
)

// Prepare looks at the host, settles what was asked for, and looks at all that it is about: Plan(want, have) is what there
// is to do. It changes nothing. Anybody may call it; what only root can see is then unseen.
func Prepare(ctx context.Context, ask netsetup.Request) (want netsetup.Want, have netsetup.Host, err error) {
	have, err = survey(ctx, ask.Users)
	if err != nil {
		return want, have, err
	}
	want, err = netsetup.Settle(ask, have)
	if err != nil {
		return want, have, err
	}
	items := netsetup.Items(want, have)
	if err := checkTrusted(items, have); err != nil {
		return want, have, err
	}
	return want, have, LookAll(ctx, &have, items)
}

// checkTrusted refuses a host on which somebody else than root could change what root is to write, or what its units run.
func checkTrusted(items []netsetup.Item, have netsetup.Host) error {
	paths := []string{lockPath, netsetup.JournalPath}
	for _, item := range items {
		if isPath(item.Kind) {
			paths = append(paths, item.Name)
		}
	}
	for _, program := range []string{have.Helper, have.Dnsmasq, have.Nft, have.IPTables} {
		if program != "" {
			paths = append(paths, program)
		}
	}
	for _, path := range paths {
		if err := netsetup.Trusted(path); err != nil {
			return err
		}
	}
	return nil
}

// survey finds out what a settlement depends on.
func survey(ctx context.Context, users []string) (netsetup.Host, error) {
	j, err := readJournal()
	if err != nil {
		return netsetup.Host{}, err
	}
	h := netsetup.Host{
		States: map[netsetup.Item]string{}, Unseen: map[netsetup.Item]bool{}, Previous: j.Want,
		Systemd: underSystemd(), Dpkg: program("dpkg-statoverride") != "", ReadOnly: readOnly("/usr"),
		Nft: program("nft"), IPTables: program("iptables"), Dnsmasq: program("dnsmasq"),
		BridgeMeta:     os.Geteuid() != 0 || knowsBridgeMeta(ctx), // of the kernel's no one else may ask
		Firewalld:      active(ctx, "firewalld.service"),
		NetworkManager: active(ctx, "NetworkManager.service"),
		Networkd:       active(ctx, "systemd-networkd.service"),
		Users:          known(users),
		Taken:          portsTaken(ctx),
	}
	h.Helper, _ = netsetup.FindHelper("") // without one, Settle says so
	id, _ := os.ReadFile("/etc/machine-id")
	h.MachineID = strings.TrimSpace(string(id))
	if h.Program, err = thisProgram(); err != nil {
		return h, err
	}
	if err := surveyLinks(&h); err != nil {
		return h, err
	}
	return h, LookAll(ctx, &h, netsetup.Settled(h.Helper))
}

func readOnly(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_RDONLY != 0
}

func active(ctx context.Context, unit string) bool {
	if !underSystemd() {
		return false
	}
	_, yes, _ := answers(ctx, "systemctl", "is-active", "--quiet", unit) // one that cannot be asked is not active
	return yes
}

func known(users []string) []string {
	var there []string
	for _, name := range users {
		if _, err := user.Lookup(name); err == nil {
			there = append(there, name)
		}
	}
	return there
}

func surveyLinks(h *netsetup.Host) error {
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.Type() != "bridge" {
			h.Links = append(h.Links, l.Attrs().Name)
		}
	}
	bridges, err := netsetup.Bridges()
	if err != nil {
		return err
	}
	for _, b := range bridges {
		h.Bridges = append(h.Bridges, netsetup.HostBridge{Bridge: b, DHCP: netsetup.DHCPServer("/", b.Name)})
	}
	h.Routes, err = netsetup.Routes()
	return err
}

package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/netsetup"
)

// Facts are what was found on a host. [Resolve] and [Plan] use nothing else of the host.
type Facts struct {
	States map[Item]string // the present state of each item; empty if the item does not exist
	Unseen map[Item]bool   // items that only root can look at

	Bridges []BridgeFacts
	Links   []string         // all links except bridges
	Routes  []netsetup.Route // they show which addresses are taken
	Users   []string         // the requested accounts that exist

	Systemd    bool   // systemd is the init system
	Dpkg       bool   // dpkg manages the modes of its files
	ReadOnly   bool   // /usr cannot be written: the system is an image
	Helper     string // the path of the bridge helper; empty if there is none
	Nft        string // the paths of programs; empty if they are missing
	IPTables   string
	Dnsmasq    string
	BridgeMeta bool // the kernel's nft has "meta ibrname", the name of a bridge: CONFIG_NFT_BRIDGE_META

	Firewalld, NetworkManager, Networkd bool // they run

	MachineID string
	Program   string // the state of [programPath] when it is a copy of this program

	Taken    []error // the programs that listen on the ports of our DHCP and DNS server
	Previous Spec    // that of the last setup; its Bridge is empty if there was none
}

// A BridgeFacts is a bridge with its DHCP server, which decides whether setup uses the bridge as it is.
type BridgeFacts struct {
	netsetup.Bridge
	DHCP netsetup.Server // the program of this host that serves DHCP on the bridge
}

func (h Facts) bridge(name string) (BridgeFacts, bool) {
	for _, b := range h.Bridges {
		if b.Name == name {
			return b, true
		}
	}
	return BridgeFacts{}, false
}

// survey collects the facts that [Resolve] needs.
func survey(ctx context.Context, users []string) (Facts, error) {
	j, err := readJournal()
	if err != nil {
		return Facts{}, err
	}
	h := Facts{
		States: map[Item]string{}, Unseen: map[Item]bool{}, Previous: j.Spec,
		Systemd: underSystemd(), Dpkg: program("dpkg-statoverride") != "", ReadOnly: readOnly("/usr"),
		Nft: program("nft"), IPTables: program("iptables"), Dnsmasq: program("dnsmasq"),
		BridgeMeta:     os.Geteuid() != 0 || knowsBridgeMeta(ctx), // only root may query it
		Firewalld:      isActive(ctx, "firewalld.service"),
		NetworkManager: isActive(ctx, "NetworkManager.service"),
		Networkd:       isActive(ctx, "systemd-networkd.service"),
		Users:          known(users),
		Taken:          portsTaken(ctx),
	}
	h.Helper, _ = netsetup.FindHelper("") // Resolve reports that it is missing
	id, _ := os.ReadFile("/etc/machine-id")
	h.MachineID = strings.TrimSpace(string(id))
	if h.Program, err = thisProgram(); err != nil {
		return h, err
	}
	if err := surveyLinks(&h); err != nil {
		return h, err
	}
	return h, lookAll(ctx, &h, itemsToResolve(h.Helper))
}

func readOnly(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_RDONLY != 0
}

func isActive(ctx context.Context, unit string) bool {
	if !underSystemd() {
		return false
	}
	_, yes, _ := answers(ctx, "systemctl", "is-active", "--quiet", unit) // a unit whose state cannot be queried counts as inactive
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

func surveyLinks(h *Facts) error {
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
		h.Bridges = append(h.Bridges, BridgeFacts{Bridge: b, DHCP: netsetup.DHCPServer("/", b.Name)})
	}
	h.Routes, err = netsetup.Routes()
	return err
}

// lookAll reads the states of items into facts. For a caller other than root, items that only root can read are
// recorded as unseen.
func lookAll(ctx context.Context, facts *Facts, items []Item) error {
	for _, item := range items {
		if _, looked := facts.States[item]; looked {
			continue
		}
		if os.Geteuid() != 0 && kinds()[item.Kind].rootOnly {
			facts.Unseen[item] = true
			continue
		}
		state, err := look(ctx, item)
		switch {
		case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
			facts.Unseen[item] = true
		case err != nil:
			return err
		default:
			facts.States[item] = state
		}
	}
	return nil
}

// itemsToResolve returns the items whose states [Resolve] needs.
func itemsToResolve(helper string) []Item {
	items := []Item{{KindShared, netsetup.DefaultACL}, {KindFile, aclInclude}}
	if helper != "" {
		items = append(items, Item{KindMode, helper})
	}
	return items
}

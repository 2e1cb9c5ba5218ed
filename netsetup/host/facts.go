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

// Facts are what was found on a host: what [Resolve] and [Plan] decide by.
type Facts struct {
	States map[Item]string // what each item is like now; absent is the empty state
	Unseen map[Item]bool   // items that only root can look at

	Bridges []BridgeFacts
	Links   []string         // every link that is no bridge
	Routes  []netsetup.Route // where addresses are taken
	Users   []string         // accounts among those asked for that exist

	Systemd    bool   // systemd is the init
	Dpkg       bool   // dpkg keeps the modes of its files
	ReadOnly   bool   // /usr cannot be written: an image of the system, not a system
	Helper     string // the bridge helper; empty when there is none
	Nft        string // programs: their paths, empty when they are not there
	IPTables   string
	Dnsmasq    string
	BridgeMeta bool // the kernel's nft knows "meta ibrname": a bridge's name, CONFIG_NFT_BRIDGE_META

	Firewalld, NetworkManager, Networkd bool // they run

	MachineID string
	Program   string // the state that [programPath] has as a copy of this program

	Taken    []error // what listens where our DHCP and DNS would
	Previous Spec    // the last setup's; its Bridge is empty when there was none
}

// A BridgeFacts is a bridge with the server that decides whether setup uses it as it is.
type BridgeFacts struct {
	netsetup.Bridge
	DHCP netsetup.Server // who serves DHCP on it from this host
}

func (h Facts) bridge(name string) (BridgeFacts, bool) {
	for _, b := range h.Bridges {
		if b.Name == name {
			return b, true
		}
	}
	return BridgeFacts{}, false
}

// survey finds out what [Resolve] decides by.
func survey(ctx context.Context, users []string) (Facts, error) {
	j, err := readJournal()
	if err != nil {
		return Facts{}, err
	}
	h := Facts{
		States: map[Item]string{}, Unseen: map[Item]bool{}, Previous: j.Spec,
		Systemd: underSystemd(), Dpkg: program("dpkg-statoverride") != "", ReadOnly: readOnly("/usr"),
		Nft: program("nft"), IPTables: program("iptables"), Dnsmasq: program("dnsmasq"),
		BridgeMeta:     os.Geteuid() != 0 || knowsBridgeMeta(ctx), // of the kernel's no one else may ask
		Firewalld:      isActive(ctx, "firewalld.service"),
		NetworkManager: isActive(ctx, "NetworkManager.service"),
		Networkd:       isActive(ctx, "systemd-networkd.service"),
		Users:          known(users),
		Taken:          portsTaken(ctx),
	}
	h.Helper, _ = netsetup.FindHelper("") // without one, Resolve says so
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

// lookAll fills in the states of items. What only root may look at is noted as unseen when somebody else looks.
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

// itemsToResolve are the items that [Resolve] decides by.
func itemsToResolve(helper string) []Item {
	items := []Item{{KindShared, netsetup.DefaultACL}, {KindFile, aclInclude}}
	if helper != "" {
		items = append(items, Item{KindMode, helper})
	}
	return items
}

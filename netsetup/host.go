package netsetup

// A Host is what was found on a host: what [Settle] and [Plan] decide by.
type Host struct {
	States map[Item]string // what each item is like now; absent is the empty state
	Unseen map[Item]bool   // items that only root can look at

	Bridges []HostBridge
	Links   []string // every link that is no bridge
	Routes  []Route  // where addresses are taken
	Users   []string // accounts among those asked for that exist

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
	Program   string // the state that [ProgramPath] has as a copy of this program

	Taken    []error // what listens where our DHCP and DNS would
	Previous Want    // what the last setup settled; its Bridge is empty when there was none
}

// A HostBridge is a bridge with the server that decides whether setup uses it as it is.
type HostBridge struct {
	Bridge
	DHCP Server // who serves DHCP on it from this host
}

func (h Host) bridge(name string) (HostBridge, bool) {
	for _, b := range h.Bridges {
		if b.Name == name {
			return b, true
		}
	}
	return HostBridge{}, false
}

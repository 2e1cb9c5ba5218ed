package netsetup

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

// A ServerError is about the DHCP server of the bridge: [ErrDHCPDead] or [ErrLeasesUnreadable].
type ServerError struct {
	Failure
	Target
	Server Server
}

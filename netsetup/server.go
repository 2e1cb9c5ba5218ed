package netsetup

// The kinds of DHCP server.
const (
	ServerQlaunch        = "qlaunch"        // the one that `net setup` installs
	ServerLibvirt        = "libvirt"        // of a libvirt network
	ServerNetworkManager = "NetworkManager" // of a shared connection
	ServerDnsmasq        = "dnsmasq"        // the distribution's service, or one that a user started
	ServerNetworkd       = "networkd"       // the server in systemd-networkd
)

// A Server is what this host shows of the DHCP server on a bridge. The zero value means that none is known; there may
// still be one: on a bridge to a LAN it is another machine.
type Server struct {
	Kind     string // one of the constants above, "" for none
	Evidence string // what shows it: a process, a file
	PID      int    // its process ID, 0 if no process was found
	Dead     bool   // it is configured and does not run; false if that is unknown
	Leases   string // its lease file, if known
}

// A ServerError is an error of the bridge's DHCP server, with [ErrDHCPDead] or [ErrLeasesUnreadable].
type ServerError struct {
	Failure
	Target
	Server Server
}

// Package host makes the hosts of the host tests: real Debian machines, made of
// the distribution's packages and booted with systemd as process 1, each in
// namespaces of its own (mount, network, pid and cgroup) on an overlay of its
// own. What happens in one touches neither another nor the machine that it runs
// on, and all of it ends with the process that called Start, however that ends.
//
// A host has a NIC up0 with the address HostAddr. At its other end is the
// outside world, a network namespace with the address OutsideAddr, where a name
// server knows OutsideName and a web server answers any request with the
// address that it came from: what that says is what the world sees of NAT.
//
//	the calling process
//	└─ keeper: process 1 of its own namespaces, whose network is the outside
//	   ├─ dnsmasq, the outside's name server
//	   └─ systemd-nspawn
//	      └─ systemd, the host's process 1
//
// Start starts the calling program again as the keeper, so TestMain begins with
//
//	if host.Main(os.Args, os.Stdout) {
//		return
//	}
//
// Only root can make hosts, because what is tried on them is the work of root.
package host

// Where the host and the outside world find each other: in a network that is
// nobody's (RFC 2544), and that no name server takes for a private one, as
// dnsmasq does those for documentation.
const (
	HostAddr    = "198.18.0.2"
	OutsideAddr = "198.18.0.1"
	OutsideName = "outside.test"
)

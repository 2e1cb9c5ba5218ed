package netsetup

import (
	"os"
	"path/filepath"
)

// What `net setup` leaves on the host that an ordinary user's commands look for.
const (
	OwnBridge = "qlbr0"               // the bridge that setup makes when it is given no name
	NetUnit   = "qlaunch-net.service" // the unit that makes the bridge and its rules at each boot
	StateDir  = "/var/lib/qlaunch"    // the leases, and setup's journal
)

// DNSConfig is the path of the configuration of the dnsmasq that setup runs for a bridge.
func DNSConfig(bridge string) string { return "/etc/qlaunch/dnsmasq-" + bridge + ".conf" }

// LeaseFile is the path of that dnsmasq's leases.
func LeaseFile(bridge string) string { return StateDir + "/" + bridge + ".leases" }

// own says whether a bridge is ours: by the name that setup gives, or by the configuration of the server that it
// installs.
func own(root, bridge string) bool {
	if bridge == OwnBridge {
		return true
	}
	_, err := os.Stat(filepath.Join(root, DNSConfig(bridge)))
	return err == nil
}

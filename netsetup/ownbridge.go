package netsetup

import (
	"os"
	"path/filepath"
)

// The parts of what `net setup` installs that the commands of an ordinary user look for.
const (
	OwnBridge = "qlbr0"               // the bridge that setup creates if no name is given
	NetUnit   = "qlaunch-net.service" // the unit that creates the bridge and its rules at each boot
	StateDir  = "/var/lib/qlaunch"    // the directory of the leases and of setup's journal
)

// DNSConfig returns the path of the configuration of the dnsmasq that setup runs for a bridge.
func DNSConfig(bridge string) string { return "/etc/qlaunch/dnsmasq-" + bridge + ".conf" }

// LeaseFile returns the path of that dnsmasq's leases.
func LeaseFile(bridge string) string { return StateDir + "/" + bridge + ".leases" }

// own reports whether `net setup` made a bridge: it has setup's name, or the configuration of setup's DHCP server
// exists.
func own(root, bridge string) bool {
	if bridge == OwnBridge {
		return true
	}
	_, err := os.Stat(filepath.Join(root, DNSConfig(bridge)))
	return err == nil
}

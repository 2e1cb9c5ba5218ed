package vms

import (
	"fmt"
	"regexp"
)

// namePattern makes a name safe as a file, a host name's label and the
// instance of a systemd unit, all at once.
var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$`)

// subdirectory is where the definitions are, and the VMs' data. A state directory of that name would be the one that all
// data directories are in, where a user has data and state in one place.
const subdirectory = "vms"

// CheckName says whether a VM may have this name.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("name %q: must be 1 to 48 of a-z, 0-9 and -, with a letter or digit at both ends", name)
	}
	if name == subdirectory {
		return fmt.Errorf("name %q: is that of a directory of qlaunch's own", name)
	}
	return nil
}

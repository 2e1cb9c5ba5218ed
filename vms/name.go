package vms

import (
	"fmt"
	"regexp"
)

// namePattern matches names that are safe as a file name, as a label of a host name and as the instance of a systemd
// unit.
var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$`)

// subdirectory is the directory of the definitions, and that of the VMs' data. No VM can have this name: if data and
// state have the same base directory, its state directory would be the parent of all data directories.
const subdirectory = "vms"

// CheckName returns an error if a VM may not have this name.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("name %q: must be 1 to 48 of a-z, 0-9 and -, with a letter or digit at both ends", name)
	}
	if name == subdirectory {
		return fmt.Errorf("name %q: is that of a directory of qlaunch's own", name)
	}
	return nil
}

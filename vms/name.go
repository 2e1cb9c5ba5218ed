package vms

import (
	"fmt"
	"regexp"
)

// namePattern makes a name safe as a file, a host name's label and the
// instance of a systemd unit, all at once.
var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$`)

// CheckName says whether a VM may have this name.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("name %q: must be 1 to 48 of a-z, 0-9 and -, with a letter or digit at both ends", name)
	}
	return nil
}

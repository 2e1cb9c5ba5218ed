package vms

import (
	"bytes"
	"fmt"
	"os"
)

// ClashError says that two definitions use the same name or MAC.
type ClashError struct {
	What        string // "the name web", "mac 52:54:00:12:34:56"
	File, Other string
}

// Error names both files.
func (e *ClashError) Error() string {
	return fmt.Sprintf("%s: %s is that of %s too", e.File, e.What, e.Other)
}

// Clash searches the store for another definition with this VM's name, or with the MAC of one of its bridged NICs:
// two guests with the same MAC on a bridge take each other's lease. It returns a [*ClashError], or the error of the
// store's directory. It ignores the MACs of a definition that cannot be read.
func (s Store) Clash(vm VM) error {
	names, err := s.Names()
	if err != nil {
		return err
	}
	macs := bridgedMACs(vm)
	for _, name := range names {
		file := s.Path(name)
		if SameFile(file, vm.File) {
			continue
		}
		if name == vm.Name {
			return &ClashError{What: "the name " + name, File: vm.File, Other: file}
		}
		if mac, ok := s.sharedMAC(name, file, macs); ok {
			return &ClashError{What: "mac " + mac.String(), File: vm.File, Other: file}
		}
	}
	return nil
}

// sharedMAC returns one of macs that a definition has too, if there is one.
func (s Store) sharedMAC(name, file string, macs map[MAC]bool) (MAC, bool) {
	data, err := ReadFile(file)
	if err != nil || !s.mayShareMAC(name, data, macs) {
		return MAC{}, false
	}
	other, err := Parse(data, s.Env(name, file))
	if err != nil {
		return MAC{}, false // it cannot be started either
	}
	for mac := range bridgedMACs(other) {
		if macs[mac] {
			return mac, true
		}
	}
	return MAC{}, false
}

// mayShareMAC reports whether a definition may have one of macs, at a tenth of the cost of parsing it. It may not if
// its text contains none of them and no escape that could spell one, and if none is the default MAC of one of its
// NICs. Each NIC, except that of a definition without any, needs a bracket in the text.
func (s Store) mayShareMAC(name string, data []byte, macs map[MAC]bool) bool {
	if bytes.IndexByte(data, '\\') >= 0 {
		return true
	}
	text := bytes.ReplaceAll(bytes.ToLower(data), []byte("-"), []byte(":"))
	for mac := range macs {
		if bytes.Contains(text, []byte(mac.String())) {
			return true
		}
	}
	nics := bytes.Count(data, []byte("[")) + bytes.Count(data, []byte("{"))
	for i := range min(nics, mostKeys) + 1 {
		if macs[StableMAC(s.MachineID, s.UID, name, i)] {
			return true
		}
	}
	return false
}

// bridgedMACs returns the MACs that a VM has on bridges.
func bridgedMACs(vm VM) map[MAC]bool {
	macs := map[MAC]bool{}
	for _, nic := range vm.NICs {
		if nic.Type == NICBridge {
			macs[nic.MAC] = true
		}
	}
	return macs
}

// SameFile reports whether two paths lead to the same file. It follows symbolic links, since a definition may be
// linked into the store.
func SameFile(a, b string) bool {
	if a == b {
		return true
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

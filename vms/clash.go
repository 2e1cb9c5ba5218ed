package vms

import (
	"bytes"
	"fmt"
	"os"
)

// ClashError says that two definitions claim one thing.
type ClashError struct {
	What        string // "the name web", "mac 52:54:00:12:34:56"
	File, Other string
}

// Error names both files.
func (e *ClashError) Error() string {
	return fmt.Sprintf("%s: %s is that of %s too", e.File, e.What, e.Other)
}

// Clash looks through the store for another definition with this VM's name, or
// with the MAC of one of its bridged NICs: two guests with one address on a
// bridge take each other's lease. The error is a [*ClashError], or that of the
// store's directory. A definition that cannot be read claims nothing.
func (s Store) Clash(vm VM) error {
	names, err := s.Names()
	if err != nil {
		return err
	}
	mine := bridged(vm)
	for _, name := range names {
		file := s.Path(name)
		if SameFile(file, vm.File) {
			continue
		}
		if name == vm.Name {
			return &ClashError{What: "the name " + name, File: vm.File, Other: file}
		}
		if mac, ok := s.claimed(name, file, mine); ok {
			return &ClashError{What: "mac " + mac.String(), File: vm.File, Other: file}
		}
	}
	return nil
}

// claimed is the one of some MACs that a definition has too, if it has one.
func (s Store) claimed(name, file string, macs map[MAC]bool) (MAC, bool) {
	data, err := ReadFile(file)
	if err != nil || !s.mayClaim(name, data, macs) {
		return MAC{}, false
	}
	other, err := Parse(data, s.Env(name, file))
	if err != nil {
		return MAC{}, false // it cannot be started either
	}
	for mac := range bridged(other) {
		if macs[mac] {
			return mac, true
		}
	}
	return MAC{}, false
}

// mayClaim tells, at a tenth of the cost of reading it in full, a definition that cannot have one of some MACs: it
// has none of them in its text, nor an escape that may spell one, and none is a default of its NICs, each of
// which, but for the one of a definition without any, stands behind a bracket.
func (s Store) mayClaim(name string, data []byte, macs map[MAC]bool) bool {
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

// bridged are the addresses that a VM shows on a bridge.
func bridged(vm VM) map[MAC]bool {
	macs := map[MAC]bool{}
	for _, nic := range vm.NICs {
		if nic.Type == NICBridge {
			macs[nic.MAC] = true
		}
	}
	return macs
}

// SameFile tells whether two paths lead to one file. It sees through links: a definition may be linked into the store.
func SameFile(a, b string) bool {
	if a == b {
		return true
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

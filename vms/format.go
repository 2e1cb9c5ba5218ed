package vms

import (
	"github.com/pelletier/go-toml/v2"
)

// Format returns a VM as TOML, with every key and with absolute paths, so that [Parse] makes the same VM from it
// wherever the text is. Comments are not kept.
func Format(vm VM) []byte {
	var nics []NIC
	for _, nic := range vm.NICs {
		for len(nics) < nic.Index {
			nics = append(nics, NIC{Type: NICNone})
		}
		nics = append(nics, nic)
	}
	if len(nics) == 0 { // without any [[nic]] the VM would get a bridge
		nics = []NIC{{Type: NICNone}}
	}
	vm.NICs = nics
	data, err := toml.Marshal(vm)
	if err != nil {
		panic(err) // cannot happen: TOML has a form for every value in a VM
	}
	return data
}

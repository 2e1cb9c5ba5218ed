package vms

import (
	"github.com/pelletier/go-toml/v2"
)

// Format writes a VM as TOML with every key and absolute paths: [Parse] makes
// the same VM of it, wherever the text lies. Comments are not kept.
func Format(vm VM) []byte {
	var nics []NIC
	for _, nic := range vm.NICs {
		for len(nics) < nic.Index {
			nics = append(nics, NIC{Type: NICNone})
		}
		nics = append(nics, nic)
	}
	if len(nics) == 0 { // no [[nic]] at all would mean a bridge
		nics = []NIC{{Type: NICNone}}
	}
	vm.NICs = nics
	data, err := toml.Marshal(vm)
	if err != nil {
		panic(err) // cannot happen: there is nothing in a VM that TOML has no form for
	}
	return data
}

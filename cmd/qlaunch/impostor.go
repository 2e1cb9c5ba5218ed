package main

import (
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/vms"
)

// noticeImpostors says whose MACs, of the NICs of a VM that runs, are another's too: then the address
// that is known for one may be that other's. It costs less than a millisecond.
func (s *session) noticeImpostors(vm vms.VM, pid int) {
	for _, nic := range bridged(vm) {
		if err := netsetup.Impostor(nic.Bridge, nic.MAC.HardwareAddr(), pid); err != nil {
			s.notice("%s: %v", vm.Name, err)
		}
	}
}

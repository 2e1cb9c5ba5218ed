package launcher

import (
	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/vms"
)

// Argv returns the command line of a QEMU that a user can start by hand. A NIC without a bridge gets the first bridge
// of the host. Such a QEMU runs the bridge helper itself, so a command line with a bridged NIC has no -sandbox. Argv
// creates the VM's directories, but no missing disks.
func Argv(e *Env, name string) ([]string, error) {
	vm, err := Load(e, name)
	if err != nil {
		return nil, err
	}
	if err := qemu.MakeDirs(vm); err != nil {
		return nil, err
	}
	files := qemu.Files{Devices: qemu.FindDevices(vm)}
	if files.UEFI, err = qemu.FindUEFI(vm); err != nil {
		return nil, err
	}
	if len(bridged(vm)) == 0 {
		return qemu.Args(vm, files), nil
	}
	if files.Helper, err = netsetup.FindHelper(vm.QEMU.Helper); err != nil {
		return nil, err
	}
	for i, nic := range vm.NICs {
		if nic.Type != vms.NICBridge || nic.Bridge != netsetup.Auto {
			continue
		}
		bridge, err := netsetup.PickBridge(e.Root, netsetup.DefaultACL)
		if err != nil {
			return nil, err
		}
		vm.NICs[i].Bridge = bridge.Name
	}
	return qemu.Args(vm, files), nil
}

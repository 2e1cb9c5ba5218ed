package vms

import (
	"cmp"
	"fmt"
	"path/filepath"
	"time"
)

// fill sets the defaults of the keys that the file does not have.
func (d *decoder) fill(vm *VM) {
	if vm.UUID == (UUID{}) {
		vm.UUID = StableUUID(d.env.MachineID, d.env.UID, d.env.Name)
	}
	or(&vm.Memory, 2*GiB)
	or(&vm.CPUs, 2)
	or(&vm.Arch, d.env.Arch)
	or(&vm.Machine, machines()[vm.Arch])
	or(&vm.Accel, KVM)
	if vm.Accel == KVM {
		or(&vm.CPU, "host")
	}
	or(&vm.CPU, "max") // the only model that both KVM and TCG have
	or(&vm.Firmware, defaultFirmware(*vm))
	or(&vm.Display.Type, DisplayNone)
	or(&vm.SSH.Port, 22)
	or(&vm.SSH.NIC, AnyNIC)
	or(&vm.Shutdown.Timeout, Duration(90*time.Second))
	or(&vm.Systemd.Restart, RestartNo)
	or(&vm.QEMU.Binary, "qemu-system-"+vm.Arch)
	for i := range vm.Disks {
		disk := &vm.Disks[i]
		or(&disk.Format, QCOW2)
		or(&disk.Bus, BusVirtio)
		or(&disk.Path, filepath.Join(d.env.DataDir, fmt.Sprintf("disk%d.%s", i, disk.Format)))
	}
	if !d.nics {
		vm.NICs = []NIC{{}}
	}
	for i := range vm.NICs {
		d.fillNIC(&vm.NICs[i], i, vm.Machine)
	}
}

// fillNIC sets the defaults of one NIC.
func (d *decoder) fillNIC(nic *NIC, i int, machine string) {
	nic.Index = i
	or(&nic.Type, NICBridge)
	if nic.Type == NICBridge {
		or(&nic.Bridge, "auto")
	}
	if nic.MAC == (MAC{}) {
		nic.MAC = StableMAC(d.env.MachineID, d.env.UID, d.env.Name, i)
	}
	if machine == "microvm" { // has no PCI (QEMU, docs/system/i386/microvm.rst)
		or(&nic.Model, "virtio-net-device")
	}
	or(&nic.Model, "virtio-net-pci")
}

// defaultFirmware is BIOS where there is one. On aarch64 only a kernel starts without UEFI.
func defaultFirmware(vm VM) Firmware {
	if vm.Arch == "aarch64" && vm.Kernel.Image == "" {
		return UEFI
	}
	return BIOS
}

// or sets value to fallback if it is not set.
func or[T comparable](value *T, fallback T) { *value = cmp.Or(*value, fallback) }

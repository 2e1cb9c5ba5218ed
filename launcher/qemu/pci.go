package qemu

import (
	"fmt"
	"slices"
	"strings"
)

// This file assigns PCI addresses to devices. Guests name NICs and disks by these addresses, so they are stable: an
// address depends only on a device's kind and its index in the definition. docs/devices.md has the table and the
// reasons.
//
// The root bus of q35 and virt does not support hot-plug (QEMU's docs/pcie.txt), so NICs and disks except the first
// ones are behind root ports, of which a few are spare. The root bus of pc supports hot-plug, and there are no root
// ports.

// pciBus is the kind of a machine's PCI bus.
type pciBus int

const (
	noPCI        pciBus = iota // none, or an unknown machine: QEMU assigns the addresses
	conventional               // pc
	express                    // q35 and virt
)

// busOf returns the kind of a machine's PCI bus. Machines have names with and without a version: pc is pc-i440fx-7.2,
// and q35 is pc-q35-7.2.
func busOf(machine string) pciBus {
	switch {
	case machine == "q35", strings.HasPrefix(machine, "pc-q35-"), machine == "virt", strings.HasPrefix(machine, "virt-"):
		return express
	case machine == "pc", strings.HasPrefix(machine, "pc-i440fx-"):
		return conventional
	}
	return noPCI
}

// slot is a device's place on the root bus.
//
// The first free one on a bare machine, 1 on q35 and virt and 2 on pc, is reserved for devices of -vga and -nic in
// [qemu] args, which QEMU creates before all others. On pc, 1 is the chipset's.
type slot struct{ express, conventional string }

func slotOf(device string) slot {
	return map[string]slot{
		"net0":    {"0x2", "0x3"},
		"disk0":   {"0x3", "0x4"},
		"rng":     {"0x4", "0x5"}, // on pc two functions of one slot, since all slots are used
		"serial":  {"0x5", "0x5.0x1"},
		"display": {"0x6", "0x6"},
		"usb":     {"0x7", "0x7"},
		"scsi":    {"0x8", "0x8"},
		"sata":    {"0x9", "0x9"},
	}[device]
}

// Where the other NICs and disks are: behind the functions of these slots, each a root port, or, on pc, in a slot
// each.
const (
	portsOfNICs  = 0x10 // for the NICs 1 to 7
	portsOfDisks = 0x11 // and the next, for the disks 1 to 15
	pcNICs       = 0xa
	pcDisks      = 0x11
	mostNICs     = 8 // as in vms; also the next one
	mostDisks    = 16
)

// How many more NICs and disks than a VM starts with can be plugged in while it runs.
const (
	spareNICs  = 1
	spareDisks = 2
)

// onRoot returns the address, as properties, of a device that each machine has at most one of.
func (b *board) onRoot(device string) []prop {
	s := slotOf(device)
	switch busOf(b.vm.Machine) {
	case express:
		return []prop{{"bus", "pcie.0"}, {"addr", s.express}}
	case conventional:
		address := []prop{{"bus", "pci.0"}, {"addr", s.conventional}}
		if device == "rng" {
			address = append(address, prop{"multifunction", "on"})
		}
		return address
	default:
		return nil
	}
}

// nicAddress returns the address of the NIC with this index; none if the model may not be a PCI device.
func (b *board) nicAddress(model string, index int) []prop {
	if !isPCINIC(model) {
		return nil
	}
	return b.indexed("net", index, pcNICs)
}

// diskAddress returns the address of the disk with this index, if it is a PCI device itself.
func (b *board) diskAddress(index int) []prop { return b.indexed("disk", index, pcDisks) }

func (b *board) indexed(kind string, index, pcFirst int) []prop {
	name := fmt.Sprint(kind, index)
	switch bus := busOf(b.vm.Machine); {
	case index == 0:
		return b.onRoot(name)
	case bus == express:
		return []prop{{"bus", portID(name)}, {"addr", "0x0"}}
	case bus == conventional:
		return []prop{{"bus", "pci.0"}, {"addr", fmt.Sprintf("%#x", pcFirst+index-1)}}
	default:
		return nil
	}
}

// portID returns the id of the root port of a NIC or disk.
func portID(device string) string { return device + "-port" }

// ports adds the root ports. The guest's firmware numbers the buses behind them in order: those of the NICs come
// first, since NICs are named by that number (enp1s0), so that more disks do not change them.
func (b *board) ports() {
	if busOf(b.vm.Machine) != express {
		return
	}
	last := 0
	for _, n := range b.vm.NICs {
		last = max(last, n.Index)
	}
	for i := 1; i <= min(last+spareNICs, mostNICs-1); i++ {
		b.port(fmt.Sprint("net", i), portsOfNICs, i, i)
	}
	for i := 1; i <= min(max(len(b.vm.Disks)-1, 0)+spareDisks, mostDisks-1); i++ {
		b.port(fmt.Sprint("disk", i), portsOfDisks, i, mostNICs-1+i)
	}
}

// port adds one root port: a function of a slot, eight in each slot. A guest finds the functions of a slot through
// function 0, which always exists. Chassis and port number identify the port to the guest; libvirt counts port
// numbers in the same way.
func (b *board) port(device string, first, index, chassis int) {
	slot, function := first+(index-1)/8, (index-1)%8
	props := []prop{{"id", portID(device)}, {"bus", "pcie.0"}, {"addr", fmt.Sprintf("%#x.%#x", slot, function)}}
	if function == 0 {
		props = append(props, prop{"multifunction", "on"})
	}
	b.device("pcie-root-port", append(props, prop{"chassis", chassis}, prop{"port", slot<<3 | function})...)
}

// isPCINIC reports whether a network device of QEMU is known to be a PCI device (-device help of 7.2 and 10.0).
func isPCINIC(model string) bool {
	return strings.HasPrefix(model, "virtio-net-pci") || strings.HasPrefix(model, "e1000") || strings.HasPrefix(model, "i8255") ||
		slices.Contains([]string{"virtio-net", "i82562", "i82801", "igb", "ne2k_pci", "pcnet", "rocker", "rtl8139", "tulip", "vmxnet3"}, model)
}

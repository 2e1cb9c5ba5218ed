package qemu

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/qlaunch/qlaunch/vms"
)

// Args returns the command line of a VM's QEMU, with the program first. It is a pure function: the same VM and files
// give the same command line.
//
// QEMU adds no devices of its own (-nodefaults, -no-user-config: QEMU's qemu-options.hx), so the command line has all
// devices of the guest. Each device has a fixed address (pci.go) and an id.
func Args(vm vms.VM, f Files) []string {
	a := args{board{vm: vm}, f}
	a.add(vm.QEMU.Binary)
	a.base()
	a.machine()
	a.monitor()
	a.console()
	a.kernel()
	a.ports()
	a.disks()
	a.nics()
	a.rng()
	a.agent()
	a.display()
	return append(a.list, vm.QEMU.Args...)
}

func (a *args) base() {
	a.add("-name", list("", prop{"guest", a.vm.Name}))
	a.add("-uuid", a.vm.UUID.String())
	a.add("-nodefaults", "-no-user-config", "-display", "none")
	if a.files.Taps != nil || !hasBridgedNIC(a.vm) {
		a.add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
	}
	a.add("-pidfile", PIDFile(a.vm))
}

func hasBridgedNIC(vm vms.VM) bool {
	return slices.ContainsFunc(vm.NICs, func(n vms.NIC) bool { return n.Type == vms.NICBridge })
}

func (a *args) machine() {
	machine := []prop{}
	if a.vm.Firmware == vms.UEFI {
		a.uefi()
		machine = append(machine, prop{"pflash0", "uefi-code"}, prop{"pflash1", "uefi-vars"})
	}
	if a.biosOnSerial() {
		machine = append(machine, prop{"graphics", "off"})
	}
	a.add("-machine", list(a.vm.Machine, machine...))
	if a.vm.Accel == vms.AccelAuto {
		a.add("-accel", "kvm", "-accel", "tcg") // QEMU uses the first that works
	} else {
		a.add("-accel", string(a.vm.Accel))
	}
	a.add("-cpu", a.vm.CPU)
	a.add("-smp", fmt.Sprint(a.vm.CPUs))
	a.add("-m", list("", prop{"size", fmt.Sprintf("%dk", uint64(a.vm.Memory)/1024)}))
}

// biosOnSerial reports whether the PC's BIOS should write to the serial console, and so to the log: without a display
// adapter, its "No bootable device" appears nowhere else. SeaBIOS does that if QEMU reports that there is no graphics
// (its src/fw/paravirt.c, qemu_cfg_legacy). With a kernel the BIOS prints nothing, and OVMF always uses the serial
// port.
func (a *args) biosOnSerial() bool {
	vm := a.vm
	return vm.Arch == "x86_64" && !a.microvm() && vm.Firmware == vms.BIOS && vm.Kernel.Image == "" && vm.Display.Type == vms.DisplayNone
}

// uefi adds the firmware's code, which all VMs share, and its variables, which belong to this VM.
func (a *args) uefi() {
	a.add("-blockdev", object{{"driver", "raw"}, {"node-name", "uefi-code"}, {"read-only", true},
		{"file", object{{"driver", "file"}, {"filename", a.files.UEFI.Code}}}}.String())
	a.add("-blockdev", object{{"driver", "raw"}, {"node-name", "uefi-vars"},
		{"file", object{{"driver", "file"}, {"filename", a.files.UEFI.Vars}}}}.String())
}

func (a *args) monitor() {
	a.add("-chardev", list("socket", prop{"id", "qmp"}, a.listen(a.files.QMP, QMPSocket(a.vm)), prop{"server", "on"}, prop{"wait", "off"}))
	a.add("-mon", "chardev=qmp,mode=control")
}

// consoleChardev is QEMU's id of the host's end of the serial console.
const consoleChardev = "console"

// console adds the serial port, and logs all its output, with or without a client.
func (a *args) console() {
	a.add("-chardev", list("socket", prop{"id", consoleChardev}, a.listen(a.files.Console, ConsoleSocket(a.vm)), prop{"server", "on"}, prop{"wait", "off"},
		prop{"logfile", ConsoleLog(a.vm)}, prop{"logappend", "on"}))
	a.add("-serial", "chardev:console")
}

// agentChannel is the name by which a guest agent finds its channel (QEMU's qga/main.c), and agentChardev is QEMU's
// id of the host's end of it.
const (
	agentChannel = "org.qemu.guest_agent.0"
	agentChardev = "qga"
)

func (a *args) rng() {
	a.add("-object", object{{"qom-type", "rng-random"}, {"id", "rng0"}, {"filename", "/dev/urandom"}}.String())
	a.device(a.virtio("rng"), append([]prop{{"id", "rng0-device"}, {"rng", "rng0"}}, a.onRoot("rng")...)...)
}

// agent adds the channel that an agent in the guest looks for. It adds one millisecond to a start, and costs a guest
// without an agent nothing.
func (a *args) agent() {
	a.add("-chardev", list("socket", prop{"id", agentChardev}, a.listen(a.files.Agent, AgentSocket(a.vm)), prop{"server", "on"}, prop{"wait", "off"}))
	a.device(a.virtio("serial"), append([]prop{{"id", "serial"}}, a.onRoot("serial")...)...)
	a.device("virtserialport", prop{"id", "qga-device"}, prop{"bus", "serial.0"}, prop{"nr", 1}, prop{"chardev", agentChardev}, prop{"name", agentChannel})
}

// listen says where a socket chardev listens: on an inherited descriptor, or else on a path.
func (a *args) listen(fd int, path string) prop {
	if fd != 0 {
		return prop{"fd", fd}
	}
	return prop{"path", path}
}

func (a *args) kernel() {
	k := a.vm.Kernel
	if k.Image == "" {
		return
	}
	a.add("-kernel", k.Image)
	if k.Initrd != "" {
		a.add("-initrd", k.Initrd)
	}
	if k.Cmdline != "" {
		a.add("-append", k.Cmdline)
	}
}

// disks adds a node for each disk, with the format in the definition and never probed, and a device on its bus. The
// boot order is the definition's order.
func (a *args) disks() {
	a.controllers()
	for i, d := range a.vm.Disks {
		node := "disk" + strconv.Itoa(i)
		a.add("-blockdev", a.blockdev(d, node))
		a.diskDevice(d, node, i)
	}
}

func (a *args) blockdev(d vms.Disk, node string) string {
	driver := "file"
	if slices.Contains(a.files.Devices, d.Path) {
		driver = "host_device" // "file" accepts only regular files
	}
	o := object{{"driver", string(d.Format)}, {"node-name", node}, {"read-only", d.ReadOnly}, {"discard", "unmap"},
		{"file", object{{"driver", driver}, {"filename", d.Path}, {"discard", "unmap"}}}}
	if d.Format == vms.QCOW2 {
		o = append(o, prop{"backing", nil}) // a backing file that the image names is never opened
	}
	return o.String()
}

// controllers adds the host adapters for the disks' buses, one of each kind.
func (a *args) controllers() {
	var scsi, sata bool
	for _, d := range a.vm.Disks {
		scsi = scsi || d.Bus == vms.BusSCSI
		sata = sata || d.Bus == vms.BusSATA
	}
	if scsi {
		a.device(a.virtio("scsi"), append([]prop{{"id", "scsi"}}, a.onRoot("scsi")...)...)
	}
	if sata {
		a.device("ich9-ahci", append([]prop{{"id", "sata"}}, a.onRoot("sata")...)...)
	}
}

// diskDevice adds the device of the i-th disk. Its serial number identifies the disk in the guest, whatever its bus
// (/dev/disk/by-id).
func (a *args) diskDevice(d vms.Disk, node string, i int) {
	common := []prop{{"id", node + "-device"}, {"drive", node}, {"serial", node}, bootIndex(a.vm, i)}
	switch d.Bus {
	case vms.BusSCSI:
		a.device("scsi-hd", append(common, prop{"bus", "scsi.0"}, prop{"scsi-id", i}, prop{"lun", 0})...)
	case vms.BusSATA:
		a.device("ide-hd", append(common, prop{"bus", fmt.Sprintf("sata.%d", sataPort(a.vm, i))})...)
	case vms.BusNVMe:
		a.device("nvme", append(common, a.diskAddress(i)...)...)
	default:
		a.device(a.virtio("blk"), append(common, a.diskAddress(i)...)...)
	}
}

// bootIndex returns a disk's place in the boot order. With a kernel there is none: the firmware boots the kernel, to
// which QEMU gives place 0 (hw/i386/x86.c, linuxboot).
func bootIndex(vm vms.VM, i int) prop {
	if vm.Kernel.Image != "" {
		return prop{}
	}
	return prop{"bootindex", i}
}

// sataPort counts the sata disks before the i-th disk: each port has one disk.
func sataPort(vm vms.VM, i int) int {
	port := 0
	for _, d := range vm.Disks[:i] {
		if d.Bus == vms.BusSATA {
			port++
		}
	}
	return port
}

func (a *args) nics() {
	taps := a.files.Taps
	for _, n := range a.vm.NICs {
		id := "net" + strconv.Itoa(n.Index)
		if n.Type == vms.NICUser {
			a.add("-netdev", userNetdev(n, id))
		} else {
			var tap TapFDs
			if len(taps) > 0 {
				tap, taps = taps[0], taps[1:]
			}
			a.add("-netdev", a.tapNetdev(n, id, tap))
		}
		a.nicDevice(n, id)
	}
}

// tapNetdev passes descriptors as text, as QEMU's schema requires (qapi/net.json, NetdevTapOptions).
func (a *args) tapNetdev(n vms.NIC, id string, tap TapFDs) string {
	if tap.Tap == 0 {
		o := object{{"type", "bridge"}, {"id", id}, {"br", n.Bridge}}
		if a.files.Helper != "" {
			o = append(o, prop{"helper", a.files.Helper})
		}
		return o.String()
	}
	o := object{{"type", "tap"}, {"id", id}, {"fd", strconv.Itoa(tap.Tap)}}
	if tap.Vhost != 0 {
		o = append(o, prop{"vhost", true}, prop{"vhostfd", strconv.Itoa(tap.Vhost)})
	}
	return o.String()
}

func userNetdev(n vms.NIC, id string) string {
	o := object{{"type", "user"}, {"id", id}}
	if len(n.Forwards) > 0 {
		var rules []object
		for _, f := range n.Forwards {
			rules = append(rules, object{{"str", fmt.Sprintf("tcp:%s:%d-:%d", f.Host.Addr(), f.Host.Port(), f.Guest)}})
		}
		o = append(o, prop{"hostfwd", rules})
	}
	return o.String()
}

// nicDevice omits the boot ROM of a virtio NIC unless the guest can only boot from the network: the ROM costs time
// and memory. A model that the user chose may not have this property, and is left unchanged.
func (a *args) nicDevice(n vms.NIC, id string) {
	props := append([]prop{{"id", id + "-device"}, {"netdev", id}, {"mac", n.MAC.String()}}, a.nicAddress(n.Model, n.Index)...)
	if n.Model == "virtio-net-pci" && (a.vm.Kernel.Image != "" || len(a.vm.Disks) > 0) {
		props = append(props, prop{"romfile", ""})
	}
	a.device(n.Model, props...)
}

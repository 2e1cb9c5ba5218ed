package vms

import (
	"slices"
	"strconv"
)

// check finds the mistakes that involve more than one value.
func (d *decoder) check(vm VM) {
	d.checkMachine(vm)
	d.checkKernel(vm)
	d.checkDisks(vm.Disks, vm.Machine)
	d.checkNICs(vm.NICs)
	d.checkSSHNIC(vm.SSH, vm.NICs)
}

func (d *decoder) checkMachine(vm VM) {
	m := vm.Memory
	switch {
	case m < leastMemory || m > mostMemory:
		d.fail("memory", "memory = %q: must be from %v to %v", m, leastMemory, mostMemory)
	case m%MiB != 0:
		d.fail("memory", "memory = %q: must be a whole number of MiB", m)
	}
	switch _, known := machines()[vm.Arch]; {
	case d.bad["arch"] || d.bad["accel"]:
	case !known:
		d.fail("arch", "arch: must be named, as the host's own, %s, is not one that can be run", vm.Arch)
	case vm.Accel == KVM && vm.Arch != d.env.Arch:
		d.fail("arch", "arch = %q: this host's KVM runs %s alone, set accel = \"tcg\"", vm.Arch, d.env.Arch)
	}
	if vm.Arch == "aarch64" && vm.Firmware == BIOS && vm.Kernel.Image == "" && !d.bad["kernel.image"] && !d.bad["firmware"] {
		d.fail("firmware", `firmware = "bios": aarch64 has none, and without [kernel] needs "uefi"`)
	}
}

func (d *decoder) checkKernel(vm VM) {
	if vm.Kernel.Image != "" || d.bad["kernel.image"] {
		return
	}
	if vm.Kernel.Initrd != "" {
		d.fail("kernel.initrd", "kernel.initrd: needs kernel.image, the kernel that it belongs to")
	}
	if vm.Kernel.Cmdline != "" {
		d.fail("kernel.cmdline", "kernel.cmdline: needs kernel.image; a kernel on a disk has its command line there")
	}
}

func (d *decoder) checkDisks(disks []Disk, machine string) {
	if len(disks) > mostDisks {
		d.fail(at("disk", mostDisks), "disk: there can be at most %d", mostDisks)
	}
	paths := map[string]int{}
	sata := 0
	for i, disk := range disks {
		d.checkDisk(disk, at("disk", i), machine)
		if first, twice := paths[disk.Path]; twice {
			d.fail(at("disk", i)+".path", "disk.path = %q: is the disk on line %d already", disk.Path, d.index().find(at("disk", first)).line)
		} else {
			paths[disk.Path] = i
		}
		if disk.Bus != BusSATA {
			continue
		}
		if sata++; sata == mostSATA+1 {
			d.fail(at("disk", i)+".bus", `disk.bus = "sata": there can be at most %d of these`, mostSATA)
		}
	}
}

func (d *decoder) checkDisk(disk Disk, path, machine string) {
	size := path + ".size"
	switch {
	case disk.Size > mostDisk:
		d.fail(size, "disk.size = %q: must be at most %v", disk.Size, mostDisk)
	case disk.Size%sector != 0:
		d.fail(size, "disk.size = %q: must be a whole number of sectors, %d bytes each", disk.Size, sector)
	}
	if disk.ReadOnly && disk.Bus == BusSATA { // ide-hd: "Block node is read-only", measured with QEMU 7.2
		d.fail(path+".readonly", `disk.readonly = true: bus = "sata" has no such disks, use virtio, scsi or nvme`)
	}
	if machine == "microvm" && (disk.Bus == BusSATA || disk.Bus == BusNVMe) {
		d.fail(path+".bus", `disk.bus = %q: machine = "microvm" has no PCI, use virtio or scsi`, disk.Bus)
	}
}

func (d *decoder) checkNICs(nics []NIC) {
	if len(nics) > mostNICs {
		d.fail(at("nic", mostNICs), "nic: there can be at most %d", mostNICs)
	}
	macs := map[MAC]int{}
	forwards := map[uint16][]taken{}
	for i, nic := range nics {
		path := at("nic", i)
		if nic.Type == NICNone || d.bad[path+".type"] {
			continue
		}
		if first, twice := macs[nic.MAC]; twice {
			d.fail(path+".mac", "nic.mac = %q: is the address of the NIC on line %d already", nic.MAC, d.index().find(at("nic", first)).line)
		} else {
			macs[nic.MAC] = i
		}
		if nic.Type != NICBridge && nic.Bridge != "" {
			d.fail(path+".bridge", `nic.bridge = %q: needs type = "bridge"`, nic.Bridge)
		}
		if nic.Type != NICUser && len(nic.Forwards) > 0 {
			d.fail(path+".forward", `nic.forward: needs type = "user"; a guest on a bridge is reached at its own address`)
			continue
		}
		d.checkForwards(nic.Forwards, path+".forward", forwards)
	}
}

// checkSSHNIC refuses a NIC that has neither an address on a bridge nor a forward to the guest's ssh port.
func (d *decoder) checkSSHNIC(ssh SSH, nics []NIC) {
	i, err := strconv.Atoi(string(ssh.NIC))
	leads := func(f Forward) bool { return f.Guest == ssh.Port }
	switch {
	case err != nil || d.bad["ssh.nic"]: // any, or already refused
	case i >= len(nics):
		d.fail("ssh.nic", "ssh.nic = %d: there is no such NIC, the first is 0", i)
	case nics[i].Type == NICUser && slices.ContainsFunc(nics[i].Forwards, leads):
	case nics[i].Type != NICBridge && !d.bad[at("nic", i)+".type"]:
		d.fail("ssh.nic", `ssh.nic = %d: that NIC is of type %q, and must be of type "bridge", or have a forward to port %d`, i, nics[i].Type, ssh.Port)
	}
}

// taken is a port of the host that is forwarded to a guest.
type taken struct {
	forward Forward
	path    string
}

// checkForwards refuses a port of the host that is forwarded twice. A socket bound to 0.0.0.0 has the port on every
// other address too (ip(7)).
func (d *decoder) checkForwards(forwards []Forward, path string, ports map[uint16][]taken) {
	if len(forwards) > mostForwards {
		d.fail(path, "nic.forward: there can be at most %d", mostForwards)
		return
	}
	for i, f := range forwards {
		if d.bad[at(path, i)] {
			continue
		}
		port := f.Host.Port()
		for _, t := range ports[port] {
			if t.forward.Host == f.Host || t.forward.Host.Addr().IsUnspecified() || f.Host.Addr().IsUnspecified() {
				d.fail(at(path, i), "nic.forward = %q: the port is taken by %q on line %d", f, t.forward, d.index().find(t.path).line)
				break
			}
		}
		ports[port] = append(ports[port], taken{f, at(path, i)})
	}
}

// at returns the path of a list element.
func at(list string, i int) string { return join(list, strconv.Itoa(i)) }

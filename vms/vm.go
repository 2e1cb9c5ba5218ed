// Package vms defines what a virtual machine is: it reads the TOML file that defines one, and finds the files and
// directories that belong to it.
//
// A [VM] is complete once it exists: every default is filled in, every path is absolute and every value is checked,
// so nothing has to be checked again. A file is decoded into a tree of maps first and then into the types here, so
// that all mistakes are reported at once, each with its line.
package vms

import (
	"fmt"
	"strconv"
)

// VM is a virtual machine. Its fields have the structure of its TOML file.
//
// In the tags, toml is the key, is names the rule for a text (see rules.go), and min and max bound a number.
type VM struct {
	Name     string `toml:"-"` // from the file's name
	File     string `toml:"-"` // absolute path of the definition
	DataDir  string `toml:"-"` // this VM's disks, keys and NVRAM
	StateDir string `toml:"-"` // this VM's logs
	RunDir   string `toml:"-"` // this VM's sockets and pid file

	Description string `toml:"description"`
	UUID        UUID   `toml:"uuid"`
	Memory      Size   `toml:"memory"`
	// CPUs is the number of virtual processors. 4096 is the maximum of any machine of QEMU (q35 since QEMU 9.0,
	// hw/i386/pc_q35.c); QEMU itself refuses more than the chosen machine supports.
	CPUs     int      `toml:"cpus" min:"1" max:"4096"`
	Arch     string   `toml:"arch" is:"arch"` // in QEMU's spelling
	Machine  string   `toml:"machine" is:"word"`
	Accel    Accel    `toml:"accel"`
	CPU      string   `toml:"cpu" is:"cpu"` // QEMU's -cpu, with features
	Firmware Firmware `toml:"firmware"`
	Kernel   Kernel   `toml:"kernel"`
	Disks    []Disk   `toml:"disk"`
	NICs     []NIC    `toml:"nic"` // those of type none are left out
	Display  Display  `toml:"display"`
	SSH      SSH      `toml:"ssh"`
	Shutdown Shutdown `toml:"shutdown"`
	Systemd  Systemd  `toml:"systemd"`
	QEMU     QEMU     `toml:"qemu"`
}

// Kernel is the kernel that QEMU boots directly; without an Image, QEMU boots from disk.
type Kernel struct {
	Image   string `toml:"image" is:"path"`
	Initrd  string `toml:"initrd" is:"path"`
	Cmdline string `toml:"cmdline"`
}

// Disk is one disk of a VM.
type Disk struct {
	Path string `toml:"path" is:"path"`
	// Size is the size with which a missing disk is created, and to which a smaller image is grown. 0: the disk must
	// exist.
	Size     Size       `toml:"size"`
	Format   DiskFormat `toml:"format"`
	Bus      DiskBus    `toml:"bus"`
	ReadOnly bool       `toml:"readonly"`
}

// NIC is one network card of a VM.
type NIC struct {
	// Index is the NIC's place in the file. It counts from 0 and includes those of type none, so that a NIC keeps its
	// MAC when another is switched off.
	Index int     `toml:"-"`
	Type  NICType `toml:"type"`
	// Bridge is a bridge of the host, "auto" if the file names none, and empty if the NIC is not of type bridge.
	Bridge   string    `toml:"bridge" is:"bridge"`
	MAC      MAC       `toml:"mac"`
	Model    string    `toml:"model" is:"word"` // a QEMU device
	Forwards []Forward `toml:"forward"`
}

// Display is the guest's display.
type Display struct {
	Type DisplayType `toml:"type"`
}

// SSH says how to connect to the guest.
type SSH struct {
	User     string `toml:"user" is:"user"` // empty: the caller's name
	Port     uint16 `toml:"port" min:"1" max:"65535"`
	Identity string `toml:"identity" is:"identity"` // empty: ssh's own choice
	// NIC selects the NIC whose address is the guest's, for ssh and for all commands that print the address.
	NIC NICChoice `toml:"nic"`
}

// Shutdown says how to stop the guest.
type Shutdown struct {
	// Timeout is the time that the guest gets to power off.
	Timeout Duration `toml:"timeout"`
}

// Systemd has the options of the VM as a service of its user.
type Systemd struct {
	// Restart says whether systemd restarts the VM after QEMU failed.
	Restart Restart `toml:"restart"`
}

// QEMU says which programs to run.
type QEMU struct {
	Binary string   `toml:"binary" is:"program"` // a name to find on PATH, or an absolute path
	Helper string   `toml:"helper" is:"path"`    // empty: where distributions put it
	Args   []string `toml:"args"`                // appended unchanged
}

// Env is what a definition depends on besides its text.
type Env struct {
	Name      string // the VM's, valid by [CheckName]
	File      string // absolute; relative paths are relative to its directory
	Home      string // for ~/; empty if there is none
	DataDir   string // the VM's own, absolute, as are the next two
	StateDir  string
	RunDir    string
	Arch      string // the host's, in QEMU's spelling
	MachineID string // the host's, for stable MACs
	UID       int    // the user's, for stable MACs
}

// The limits of a VM.
const (
	// The least memory into which the BIOS of a PC fits; QEMU starts with it.
	leastMemory = 1 * MiB
	// 52 bits of physical address: x86-64 (AMD64 manual, volume 2, section 5.1) and aarch64 with FEAT_LPA. QEMU
	// refuses what the CPU cannot address.
	mostMemory = 4 * PiB
	// The size of a disk is a number of sectors.
	sector = 512
	// The largest qcow2 image with clusters of 64 KiB, measured with qemu-img 7.2.
	mostDisk = 2 * PiB
	// q35 has 32 slots on its first bus, and uses some itself.
	mostDisks = 16
	mostNICs  = 8
	// A file with more was written by mistake.
	mostForwards = 256
	// The ports of the AHCI controller of the ICH9, which q35 has.
	mostSATA = 6
)

// NICChoice selects the NIC through which a guest is reached: AnyNIC, or the place of a NIC in the file, as in
// [NIC.Index]. A bridged NIC has the guest's address; a NIC of type user has a forward from the host to the ssh port.
type NICChoice string

// AnyNIC selects the first bridged NIC that has an address.
const AnyNIC NICChoice = "any"

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *NICChoice) UnmarshalText(text []byte) error {
	if NICChoice(text) == AnyNIC {
		*c = AnyNIC
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 8)
	if err != nil || n >= mostNICs {
		return fmt.Errorf(`must be "any", or the number of a NIC: 0 for the first, at most %d`, mostNICs-1)
	}
	*c = NICChoice(strconv.FormatUint(n, 10))
	return nil
}

// Takes reports whether the choice is AnyNIC or this NIC.
func (c NICChoice) Takes(nic NIC) bool { return c == AnyNIC || string(c) == strconv.Itoa(nic.Index) }

// Package vms says what a virtual machine is: it reads the TOML file that
// defines one, and finds the files and directories that belong to it.
//
// A [VM] is complete once it exists: every default is filled in, every path is
// absolute and every value is checked. Nothing needs to look at it a second
// time. The one surprising fact: a file is decoded into a plain tree first and
// into the types here second, so that all its mistakes can be named at once,
// each with its line.
package vms

import (
	"fmt"
	"strconv"
)

// VM is one virtual machine, and its fields are the shape of its TOML file.
//
// The tags are the rules: toml is the key, is names the rule for a text (see
// rules.go), min and max bound a number.
type VM struct {
	Name     string `toml:"-"` // from the file's name
	File     string `toml:"-"` // absolute path of the definition
	DataDir  string `toml:"-"` // this VM's disks, keys and NVRAM
	StateDir string `toml:"-"` // this VM's logs
	RunDir   string `toml:"-"` // this VM's sockets and pid file

	Description string `toml:"description"`
	UUID        UUID   `toml:"uuid"`
	Memory      Size   `toml:"memory"`
	// CPUs is the number of virtual processors. 4096 is the most that any
	// machine of QEMU has (q35 since QEMU 9.0, hw/i386/pc_q35.c); QEMU itself
	// refuses what the chosen machine cannot have.
	CPUs     int      `toml:"cpus" min:"1" max:"4096"`
	Arch     string   `toml:"arch" is:"arch"` // in QEMU's spelling
	Machine  string   `toml:"machine" is:"word"`
	Accel    Accel    `toml:"accel"`
	CPU      string   `toml:"cpu" is:"cpu"` // QEMU's -cpu, features and all
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

// Kernel is a direct kernel boot; without an Image there is none.
type Kernel struct {
	Image   string `toml:"image" is:"path"`
	Initrd  string `toml:"initrd" is:"path"`
	Cmdline string `toml:"cmdline"`
}

// Disk is one disk of a VM.
type Disk struct {
	Path string `toml:"path" is:"path"`
	// Size is the size that a missing disk is created with, and a smaller image
	// grown to; 0: it must exist.
	Size     Size       `toml:"size"`
	Format   DiskFormat `toml:"format"`
	Bus      DiskBus    `toml:"bus"`
	ReadOnly bool       `toml:"readonly"`
}

// NIC is one network card of a VM.
type NIC struct {
	// Index is the NIC's place in the file, counted from 0 and over those of
	// type none too: a NIC keeps its MAC when another is switched off.
	Index int     `toml:"-"`
	Type  NICType `toml:"type"`
	// Bridge is the host's bridge, "auto" when none is named, and empty when
	// the NIC is not of type bridge.
	Bridge   string    `toml:"bridge" is:"bridge"`
	MAC      MAC       `toml:"mac"`
	Model    string    `toml:"model" is:"word"` // a QEMU device
	Forwards []Forward `toml:"forward"`
}

// Display is what the guest shows pictures on.
type Display struct {
	Type DisplayType `toml:"type"`
}

// SSH is how the guest is reached.
type SSH struct {
	User     string `toml:"user" is:"user"` // empty: the one who calls
	Port     uint16 `toml:"port" min:"1" max:"65535"`
	Identity string `toml:"identity" is:"identity"` // empty: ssh's own choice
	// NIC is the one whose address is the guest's, for ssh and for all that print the address.
	NIC NICChoice `toml:"nic"`
}

// Shutdown is how the guest is stopped.
type Shutdown struct {
	// Timeout is how long the guest may take after it was asked to power off.
	Timeout Duration `toml:"timeout"`
}

// Systemd is how the VM fares as a service of its user.
type Systemd struct {
	// Restart is whether it is started again when QEMU does not end well.
	Restart Restart `toml:"restart"`
}

// QEMU is what to run.
type QEMU struct {
	Binary string   `toml:"binary" is:"program"` // a name for PATH, or an absolute path
	Helper string   `toml:"helper" is:"path"`    // empty: where distributions put it
	Args   []string `toml:"args"`                // appended as they are
}

// Env is what a definition's meaning depends on besides its text.
type Env struct {
	Name      string // the VM's, valid by [CheckName]
	File      string // absolute; relative paths start from its directory
	Home      string // for ~/; empty: there is none
	DataDir   string // the VM's own, absolute, as are the next two
	StateDir  string
	RunDir    string
	Arch      string // the host's, in QEMU's spelling
	MachineID string // the host's, for stable MACs
	UID       int    // the user's, for stable MACs
}

// The bounds of what a VM can have.
const (
	// The least that the BIOS of a PC fits into; QEMU starts with it.
	leastMemory = 1 * MiB
	// 52 bits of physical address: x86-64 (AMD64 manual, volume 2, section
	// 5.1) and aarch64 with FEAT_LPA. QEMU refuses what the CPU cannot address.
	mostMemory = 4 * PiB
	// A disk is a number of sectors.
	sector = 512
	// The largest qcow2 with clusters of 64 KiB, measured with qemu-img 7.2.
	mostDisk = 2 * PiB
	// q35 has 32 slots on its first bus, and a few are its own.
	mostDisks = 16
	mostNICs  = 8
	// More is a mistake of whatever wrote the file.
	mostForwards = 256
	// The AHCI controller of the ICH9, which q35 has.
	mostSATA = 6
)

// NICChoice is the NIC by which a guest is reached: AnyNIC, or the place of one in the file, counted from 0 as
// [NIC.Index] is. A bridged NIC leads to the guest's address, one of type user to the host's end of its forward to the ssh port.
type NICChoice string

// AnyNIC stands for the first bridged NIC that has an address.
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

// Takes says whether the choice falls on a NIC, or leaves it open.
func (c NICChoice) Takes(nic NIC) bool { return c == AnyNIC || string(c) == strconv.Itoa(nic.Index) }

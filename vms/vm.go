// Package vms says what a virtual machine is: it reads the TOML file that
// defines one, and finds the files and directories that belong to it.
//
// A [VM] is complete once it exists: every default is filled in, every path is
// absolute and every value is checked. Nothing needs to look at it a second
// time. The one surprising fact: a file is decoded into a plain tree first and
// into the types here second, so that all its mistakes can be named at once,
// each with its line.
package vms

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

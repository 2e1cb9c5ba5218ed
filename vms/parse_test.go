package vms

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// defaultVM is what an empty file says.
func defaultVM() VM {
	env := hostEnv()
	return VM{
		Name: env.Name, File: env.File, DataDir: env.DataDir, StateDir: env.StateDir, RunDir: env.RunDir,
		UUID:   UUID{0x5e, 0xc0, 0xc1, 0x0e, 0x64, 0x27, 0x89, 0x93, 0x96, 0x8d, 0x39, 0xca, 0xa1, 0x18, 0x8a, 0x4d},
		Memory: 2 * GiB, CPUs: 2, Arch: "x86_64", Machine: "q35", Accel: KVM, CPU: "host", Firmware: BIOS,
		NICs:     []NIC{{Type: NICBridge, Bridge: "auto", MAC: MAC{0x52, 0x54, 0, 0xef, 0xc1, 0xaa}, Model: "virtio-net-pci"}},
		Display:  Display{Type: DisplayNone},
		SSH:      SSH{Port: 22, NIC: AnyNIC},
		Shutdown: Shutdown{Timeout: Duration(90 * time.Second)},
		Systemd:  Systemd{Restart: RestartNo},
		QEMU:     QEMU{Binary: "qemu-system-x86_64"},
	}
}

func TestParse(t *testing.T) {
	const data = "/home/u/.local/share/qlaunch/vms/guestvm/"
	const here = "/home/u/.config/qlaunch/vms/"
	for _, test := range []struct {
		name, text string
		want       func(*VM)
	}{
		{"an empty file is all defaults", "", func(*VM) {}},
		{"a byte order mark and CRLF are no matter", "\ufeffcpus = 3\r\n[ssh]\r\nport = 23\r\n", func(vm *VM) {
			vm.CPUs, vm.SSH.Port = 3, 23
		}},
		{"an empty text is the same as none", "memory = \"\"\naccel = \"\"\narch = \"\"\nmachine = \"\"\n[qemu]\nhelper = \"\"\n[ssh]\nidentity = \"\"\n", func(*VM) {}},
		{"the CPU follows the accelerator tcg", `accel = "tcg"`, func(vm *VM) {
			vm.Accel, vm.CPU = TCG, "max"
		}},
		{"the CPU follows the accelerator auto", `accel = "auto"`, func(vm *VM) {
			vm.Accel, vm.CPU = AccelAuto, "max"
		}},
		{"a CPU model has its features after commas", `cpu = "host,-arch-capabilities"`, func(vm *VM) {
			vm.CPU = "host,-arch-capabilities"
		}},
		{"another architecture has its own machine, firmware and program", "arch = \"aarch64\"\naccel = \"tcg\"", func(vm *VM) {
			vm.Arch, vm.Machine, vm.Firmware, vm.QEMU.Binary = "aarch64", "virt", UEFI, "qemu-system-aarch64"
			vm.Accel, vm.CPU = TCG, "max"
		}},
		{"a kernel on aarch64 needs no firmware", "arch = \"aarch64\"\naccel = \"tcg\"\nkernel.image = \"/k\"", func(vm *VM) {
			vm.Arch, vm.Machine, vm.Firmware, vm.QEMU.Binary = "aarch64", "virt", BIOS, "qemu-system-aarch64"
			vm.Accel, vm.CPU = TCG, "max"
			vm.Kernel.Image = "/k"
		}},
		{"a kernel goes with uefi", "firmware = \"uefi\"\n[kernel]\nimage = \"k\"\n", func(vm *VM) {
			vm.Firmware, vm.Kernel.Image = UEFI, here+"k"
		}},
		{"the microvm has no PCI", `machine = "microvm"`, func(vm *VM) {
			vm.Machine, vm.NICs[0].Model = "microvm", "virtio-net-device"
		}},
		{"paths start from the file, ~/ from home, and $ is a letter", "[kernel]\nimage = \"../k//v\"\ninitrd = \"~/i\"\n[[disk]]\npath = \"$HOME/a,b=c d.img\"\n", func(vm *VM) {
			vm.Kernel = Kernel{Image: "/home/u/.config/qlaunch/k/v", Initrd: "/home/u/i"}
			vm.Disks = []Disk{{Path: here + "$HOME/a,b=c d.img", Format: QCOW2, Bus: BusVirtio}}
		}},
		{"what looks like a protocol of QEMU is a file", "[[disk]]\npath = \"nbd:evil\"\n", func(vm *VM) {
			vm.Disks = []Disk{{Path: here + "nbd:evil", Format: QCOW2, Bus: BusVirtio}}
		}},
		{"disks have paths of their own", "[[disk]]\n[[disk]]\nformat = \"raw\"\nsize = \"1GB\"\nbus = \"nvme\"\nreadonly = true\n", func(vm *VM) {
			vm.Disks = []Disk{
				{Path: data + "disk0.qcow2", Format: QCOW2, Bus: BusVirtio},
				{Path: data + "disk1.raw", Format: Raw, Bus: BusNVMe, Size: 1e9, ReadOnly: true},
			}
		}},
		{"a list of inline tables is [[disk]] too", `disk = [{path = "/a"}, {path = "/b"}]`, func(vm *VM) {
			vm.Disks = []Disk{
				{Path: "/a", Format: QCOW2, Bus: BusVirtio},
				{Path: "/b", Format: QCOW2, Bus: BusVirtio},
			}
		}},
		{"a NIC of type none keeps its place", "[[nic]]\ntype = \"none\"\nforward = [\"1:1\"]\n[[nic]]\nmac = \"02-00-00-00-00-AA\"\n", func(vm *VM) {
			vm.NICs = []NIC{{Index: 1, Type: NICBridge, Bridge: "auto", MAC: MAC{2, 0, 0, 0, 0, 0xaa}, Model: "virtio-net-pci"}}
		}},
		{"no NICs at all", "[[nic]]\ntype = \"none\"\n", func(vm *VM) { vm.NICs = nil }},
		{"an empty list of NICs is none too", "nic = []", func(vm *VM) { vm.NICs = nil }},
		{"a program with a slash is a path", "[qemu]\nbinary = \"./build/qemu\"\nhelper = \"/h\"\nargs = [\"-append\", \"\"]\n", func(vm *VM) {
			vm.QEMU = QEMU{Binary: here + "build/qemu", Helper: "/h", Args: []string{"-append", ""}}
		}},
		{"the NIC that ssh goes to", "[ssh]\nnic = 2\n[[nic]]\ntype = \"none\"\n[[nic]]\ntype = \"none\"\n[[nic]]\n", func(vm *VM) {
			vm.SSH.NIC, vm.NICs[0].Index, vm.NICs[0].MAC = "2", 2, StableMAC(hostEnv().MachineID, hostEnv().UID, hostEnv().Name, 2)
		}},
		{"a user of a Windows domain", `ssh.user = 'CORP\jane@example.org'`, func(vm *VM) {
			vm.SSH.User = `CORP\jane@example.org`
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse([]byte(test.text), hostEnv())
			if err != nil {
				t.Fatal(err)
			}
			want := defaultVM()
			test.want(&want)
			if diff := cmp.Diff(want, got, cmp.Comparer(sameForward)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A file of a MiB can hold a key of half a million parts; neither that nor any
// other repetition may cost more than its length.
func TestParseEndsOnHugeFiles(t *testing.T) {
	for name, text := range map[string]string{
		"a key of many parts":       strings.Repeat("a.", 500_000) + "a = 1",
		"a table of many parts":     "[" + strings.Repeat("a.", 250_000) + "a]\n" + strings.Repeat("b = 1\n", 1),
		"keys in a table of many":   "[" + strings.Repeat("a.", 250_000) + "a]\n" + numbered("k%d = 1\n", 9_000),
		"a MiB of short keys":       numbered("%d=1\n", 110_000),
		"a MiB of empty tables":     numbered("[a%d]\n", 110_000),
		"many lists in one another": "a = " + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
		"many unknown keys":         numbered("memroy%d = 1\n", 9_000),
		"many tables":               numbered("[[disk]]\npath = \"/%d\"\n", 3_000),
		"many forwards":             "[[nic]]\ntype = \"user\"\nforward = [" + numbered("\"127.0.0.1:%d:1\",", 50_000) + "]",
		"one long text":             `description = "` + strings.Repeat("x", 1_000_000) + `"`,
		"one long unknown key":      strings.Repeat("x", 1_000_000) + " = 1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse([]byte(text), hostEnv()); err == nil && name != "one long text" {
				t.Error("no error")
			}
		})
	}
}

// numbered is n lines of a format that takes the line's number.
func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

package qemu

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qlaunch/qlaunch/vms"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Each testdata/argv/NAME.toml gives, with the files in files(), the words in NAME.args.
func TestArgsGivesTheLineInTheGoldenFile(t *testing.T) {
	files, err := filepath.Glob("testdata/argv/*.toml")
	if err != nil || len(files) < 10 {
		t.Fatalf("definitions: %v, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".toml")
		t.Run(name, func(t *testing.T) {
			vm := parse(t, file, name)
			got := strings.Join(Args(vm, filesFor(name, vm)), "\n") + "\n"
			golden := strings.TrimSuffix(file, ".toml") + ".args"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func parse(t *testing.T, file, name string) vms.VM {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := vms.Parse(text, vms.Env{Name: name, File: "/vms/" + name + ".toml", Home: "/home/u", DataDir: "/data/" + name,
		StateDir: "/state/" + name, RunDir: "/run/user/1000/qlaunch/" + name, Arch: "x86_64", MachineID: "0123456789abcdef", UID: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// filesFor hands on descriptors as Start would; a definition whose name begins with pasted gets none, as for a line to be pasted.
func filesFor(name string, vm vms.VM) Files {
	uefi := UEFIFiles{}
	if vm.Firmware == vms.UEFI {
		uefi = UEFIFiles{Code: "/usr/share/OVMF/OVMF_CODE_4M.fd", Vars: "/data/" + name + "/uefi-vars.fd"}
	}
	if strings.HasPrefix(name, "pasted") {
		return Files{UEFI: uefi, Helper: "/usr/lib/qemu/qemu-bridge-helper"}
	}
	f := Files{QMP: 3, Console: 4, UEFI: uefi}
	fd := 5
	for _, nic := range vm.NICs {
		if nic.Type == vms.NICBridge {
			f.Taps = append(f.Taps, TapFDs{Tap: fd, Vhost: fd + 1})
			fd += 2
		}
	}
	f.Agent = fd
	if strings.HasPrefix(name, "long-path") {
		f.RunDir = fd + 1
	}
	if strings.Contains(name, "no-vhost") {
		for i := range f.Taps {
			f.Taps[i].Vhost = 0
		}
	}
	return f
}

func TestADiskOnADeviceIsOpenedAsOne(t *testing.T) {
	vm := testVM(t, noNIC+"[[disk]]\npath = \"/dev/vg/root\"\nformat = \"raw\"\n[[disk]]\npath = \"d\"\nformat = \"raw\"\n")
	line := strings.Join(Args(vm, Files{Devices: []string{"/dev/vg/root"}}), "\n")
	for _, want := range []string{`"driver":"host_device","filename":"/dev/vg/root"`, `"driver":"file","filename":"` + vm.Disks[1].Path + `"`} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in\n%s", want, line)
		}
	}
}

func TestTheBIOSWritesToTheSerialPortOfAPCWithoutADisplay(t *testing.T) {
	pc := testVM(t, noNIC)
	for name, change := range map[string]func(*vms.VM){
		"microvm": func(vm *vms.VM) { vm.Machine = "microvm" },
		"arm":     func(vm *vms.VM) { vm.Arch = "aarch64" },
		"uefi":    func(vm *vms.VM) { vm.Firmware = vms.UEFI },
		"kernel":  func(vm *vms.VM) { vm.Kernel.Image = "k" },
		"display": func(vm *vms.VM) { vm.Display.Type = vms.DisplayVNC },
	} {
		other := pc
		change(&other)
		if (&args{board: board{vm: other}}).biosOnSerial() {
			t.Errorf("%s: it does", name)
		}
	}
	if !(&args{board: board{vm: pc}}).biosOnSerial() {
		t.Error("it does not")
	}
}

func TestABackendSaysNoMoreThanItKnows(t *testing.T) {
	a := &args{}
	if got, want := a.tapNetdev(vms.NIC{Bridge: "br0"}, "net0", TapFDs{}), `{"type":"bridge","id":"net0","br":"br0"}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	one := vms.NIC{Forwards: []vms.Forward{{Host: netip.MustParseAddrPort("127.0.0.1:2222"), Guest: 22}}}
	if got, want := userNetdev(one, "net0"), `{"type":"user","id":"net0","hostfwd":[{"str":"tcp:127.0.0.1:2222-:22"}]}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestWhereTheLogsLie(t *testing.T) {
	vm := vms.VM{StateDir: "/state/web"}
	if MessageLog(vm) != "/state/web/qemu.log" || ConsoleLog(vm) != "/state/web/console.log" {
		t.Errorf("%s, %s", MessageLog(vm), ConsoleLog(vm))
	}
}

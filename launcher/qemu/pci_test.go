package qemu

import (
	"fmt"
	"strings"
	"testing"

	"github.com/qlaunch/qlaunch/vms"
)

// A guest names its NICs and disks by where they are: whatever a definition gets beside, what was there stays as it was.
func TestADefinitionThatGrowsMovesNoDevice(t *testing.T) {
	for _, machine := range []string{"q35", "pc", "pc-q35-7.2", "pc-i440fx-7.2", "virt"} {
		small := pciVM(t, machine, 1, 1, "", "")
		was := devicesByID(Args(small, Files{}))
		if len(was) < 5 {
			t.Fatalf("%s: devices %v", machine, was)
		}
		for name, vm := range map[string]vms.VM{
			"disks":         pciVM(t, machine, 16, 1, "", ""),
			"scsi and sata": pciVM(t, machine, 1, 1, "[[disk]]\nbus = \"scsi\"\n[[disk]]\nbus = \"sata\"\n", ""),
			"NICs":          pciVM(t, machine, 1, 8, "", ""),
			"a display":     pciVM(t, machine, 1, 1, "", "[display]\ntype = \"spice\"\n"),
			"all":           pciVM(t, machine, 14, 8, "[[disk]]\nbus = \"scsi\"\n[[disk]]\nbus = \"sata\"\n", "[display]\ntype = \"vnc\"\n"),
		} {
			is := devicesByID(Args(vm, Files{}))
			for id, device := range was {
				if is[id] != device {
					t.Errorf("%s with %s: %s\nwas %s\nis  %s", machine, name, id, device, is[id])
				}
			}
		}
	}
}

// With as much of everything as a definition takes, no two devices share an address, and each PCI device has one.
func TestNoTwoDevicesHaveOneAddress(t *testing.T) {
	for _, machine := range []string{"q35", "pc", "virt"} {
		for _, bus := range []string{"virtio", "nvme"} {
			vm := pciVM(t, machine, 14, 8, "[[disk]]\nbus = \"scsi\"\n[[disk]]\nbus = \"sata\"\n", "[display]\ntype = \"spice\"\n")
			for i := range 14 {
				vm.Disks[i].Bus = vms.DiskBus(bus)
			}
			taken := map[string]string{}
			for id, device := range devicesByID(Args(vm, Files{})) {
				address := property(device, "bus") + " " + property(device, "addr")
				if property(device, "addr") == "" {
					if !strings.Contains(device, "bus=") {
						t.Errorf("%s: %s has no address", machine, device)
					}
					continue // on a bus that is not PCI
				}
				if other, twice := taken[address]; twice {
					t.Errorf("%s: %s and %s are both at %s", machine, id, other, address)
				}
				taken[address] = id
			}
		}
	}
}

// A NIC whose model is no PCI device that is known, or that is not connected, moves no other.
func TestANICKeepsItsPlaceBesideOthers(t *testing.T) {
	text := "[[nic]]\ntype = \"user\"\n%s[[nic]]\ntype = \"user\"\n"
	was := devicesByID(Args(parsePCI(t, fmt.Sprintf(text, "[[nic]]\ntype = \"user\"\n")), Files{}))["net2-device"]
	for _, second := range []string{"[[nic]]\ntype = \"none\"\n", "[[nic]]\ntype = \"user\"\nmodel = \"usb-net\"\n"} {
		line := devicesByID(Args(parsePCI(t, fmt.Sprintf(text, second)), Files{}))
		if got := line["net2-device"]; got != was {
			t.Errorf("%q: was %s, is %s", second, was, got)
		}
		if other := line["net1-device"]; strings.Contains(other, "addr") {
			t.Errorf("%q: %s", second, other)
		}
	}
}

func pciVM(t *testing.T, machine string, disks, nics int, moreDisks, more string) vms.VM {
	t.Helper()
	return parsePCI(t, fmt.Sprintf("machine = %q\n", machine)+strings.Repeat("[[disk]]\n", disks)+moreDisks+strings.Repeat("[[nic]]\ntype = \"user\"\n", nics)+more)
}

func parsePCI(t *testing.T, text string) vms.VM {
	t.Helper()
	vm, err := vms.Parse([]byte(text), vms.Env{Name: "web", File: "/vms/web.toml", DataDir: "/data/web", StateDir: "/state/web", RunDir: "/run/web", Arch: "x86_64"})
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func devicesByID(argv []string) map[string]string {
	devices := map[string]string{}
	for i, word := range argv {
		if word == "-device" {
			devices[property(argv[i+1], "id")] = argv[i+1]
		}
	}
	return devices
}

func property(device, key string) string {
	for _, word := range splitList(device) {
		if value, is := strings.CutPrefix(word, key+"="); is {
			return value
		}
	}
	return ""
}

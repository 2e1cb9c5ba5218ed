package vms

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestATemplateIsAVM(t *testing.T) {
	data := hostEnv().DataDir
	for _, test := range []struct {
		name  string
		start Start
		want  func(*VM)
	}{
		{"with nothing given", Start{}, func(vm *VM) {
			vm.Disks = []Disk{{Path: data + "/disk0.qcow2", Size: 20 * GiB, Format: QCOW2, Bus: BusVirtio}}
		}},
		{"with all given", Start{
			Memory: 512 * MiB, CPUs: 8, Image: `/i/a "b" \c.raw`, Format: Raw, DiskSize: 3 * GiB, Bridge: "br0", User: "ann",
		}, func(vm *VM) {
			vm.Memory, vm.CPUs, vm.SSH.User, vm.NICs[0].Bridge = 512*MiB, 8, "ann", "br0"
			vm.Disks = []Disk{{Path: `/i/a "b" \c.raw`, Size: 3 * GiB, Format: Raw, Bus: BusVirtio}}
		}},
		{"with an image", Start{Image: "/i/debian.img"}, func(vm *VM) {
			vm.Disks = []Disk{{Path: "/i/debian.img", Format: QCOW2, Bus: BusVirtio}}
		}},
		{"with an image of a known format", Start{Image: "/i/debian.img", Format: Raw}, func(vm *VM) {
			vm.Disks = []Disk{{Path: "/i/debian.img", Format: Raw, Bus: BusVirtio}}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := Template("guestvm", test.start)
			got, err := Parse(text, hostEnv())
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			want := defaultVM()
			test.want(&want)
			if diff := cmp.Diff(want, got, cmp.Comparer(sameForward)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestATemplateReadsAsItShould(t *testing.T) {
	if diff := cmp.Diff(string(read(t, "testdata/template.toml")), string(Template("guestvm", Start{User: "debian"}))); diff != "" {
		t.Error(diff)
	}
}

// What is not valid stays so, for the parser to name.
func TestATemplateHidesNothing(t *testing.T) {
	const latin1 = "/home/u/.config/qlaunch/vms/guestvm.toml:10:10: invalid UTF-8 character in basic string"
	if _, err := Parse(Template("guestvm", Start{Image: "/\xe4.raw"}), hostEnv()); err == nil || err.Error() != latin1 {
		t.Errorf("got %v", err)
	}
	_, err := Parse(Template("guestvm", Start{Image: "/a\n[[disk]]\x1b\"\u202e"}), hostEnv())
	const want = `/home/u/.config/qlaunch/vms/guestvm.toml:10:1: disk.path = "/a\n[[disk]]\x1b\"\u202e": must not hold control or invisible characters, such as U+000A`
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

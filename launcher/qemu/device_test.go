package qemu

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qlaunch/qlaunch/vms"
)

// loopDevice makes a block device of 4 MiB, until the test ends.
func loopDevice(t *testing.T, options ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make a loop device")
	}
	file := filepath.Join(t.TempDir(), "device")
	makeFile(t, file, strings.Repeat("\x00", 4<<20))
	out, err := exec.Command("losetup", append(options, "--find", "--show", file)...).CombinedOutput()
	if err != nil {
		t.Fatalf("losetup: %v: %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("losetup: %v: %s", err, out)
		}
	})
	return device
}

func TestABlockDeviceIsADisk(t *testing.T) {
	raw, image, readOnly := loopDevice(t), loopDevice(t), loopDevice(t, "--read-only")
	qemuImg(t, "create", "-q", "-f", "qcow2", image, "2M")
	vm := testVM(t, "[[disk]]\npath = \""+raw+"\"\nformat = \"raw\"\n[[disk]]\npath = \""+image+"\"\n"+
		"[[disk]]\npath = \""+readOnly+"\"\nformat = \"raw\"\nreadonly = true\n"+noNIC)
	p := start(t, vm)
	if e := unlocked(vms.VM{RunDir: t.TempDir()}, vm.Disks[0]); !errors.Is(e, ErrDiskInUse) {
		t.Errorf("the device is not locked: %v", e)
	}
	if _, err := Stop(t.Context(), vm, 0); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if size, err := DiskSize(vm.Disks[0]); err != nil || size != 4*vms.MiB {
		t.Errorf("raw: %v, %v", size, err)
	}
	if size, err := DiskSize(vm.Disks[1]); err != nil || size != 2*vms.MiB {
		t.Errorf("qcow2: %v, %v", size, err)
	}
}

func TestABlockDeviceKeepsItsSize(t *testing.T) {
	device := loopDevice(t)
	vm := testVM(t, "[[disk]]\npath = \""+device+"\"\nformat = \"raw\"\nsize = \"5MiB\"\n"+noNIC)
	want := "disk " + device + `: size = "5MiB", and it has 4MiB: a device is not grown`
	if err := Check(vm); !errors.Is(err, ErrNotGrown) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestABlockDeviceThatCannotBeUsedSaysWhy(t *testing.T) {
	writable, readOnly := loopDevice(t), loopDevice(t, "--read-only")
	d := vms.Disk{Path: readOnly, Format: vms.Raw}
	want := "disk " + readOnly + ": a read-only device: the guest could not write to it"
	if err := usable(d); !errors.Is(err, ErrNotWritable) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	d.Path = writable
	asStranger(t, func() {
		want := "disk " + writable + ": permission denied: device " + writable + " belongs to root, mode 0"
		denied, _ := errors.AsType[*DeniedError](usable(d))
		if denied == nil || denied.Need != "rw" || !strings.HasPrefix(usable(d).Error(), want) {
			t.Errorf("%v, want %s", usable(d), want)
		}
	})
}

package qemu

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/qlaunch/qlaunch/vms"
)

// qemuImg runs the real one.
func qemuImg(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("qemu-img", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestAnImageThatIsSmallerThanItsSizeIsGrown(t *testing.T) {
	for _, format := range []string{"qcow2", "raw"} {
		vm := testVM(t, "[[disk]]\nsize = \"3MiB\"\npath = \"d\"\nformat = \""+format+"\"\n"+noNIC)
		d := vm.Disks[0]
		qemuImg(t, "create", "-q", "-f", format, d.Path, "1M")
		writePattern(t, d)
		var ran [][]string
		for range 2 {
			if err := errors.Join(Check(vm), MakeDisks(t.Context(), vm, func(argv []string) { ran = append(ran, argv) })); err != nil {
				t.Fatal(err)
			}
		}
		if len(ran) != 1 || !strings.HasPrefix(strings.Join(ran[0], " "), "qemu-img resize -q -f "+format) {
			t.Errorf("%s: ran %q, want one resize", format, ran)
		}
		if info := qemuImg(t, "info", "--output=json", "-f", format, d.Path); !strings.Contains(info, `"virtual-size": 3145728,`) {
			t.Errorf("%s: %s", format, info)
		}
		checkPattern(t, d)
		if size, err := DiskSize(d); err != nil || size != 3*vms.MiB {
			t.Errorf("%s: %v, %v", format, size, err)
		}
	}
}

// writePattern fills the first 64 KiB of an image.
func writePattern(t *testing.T, d vms.Disk) {
	t.Helper()
	if out, err := exec.Command("qemu-io", "-f", string(d.Format), "-c", "write -P 0x5a 0 64k", d.Path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func checkPattern(t *testing.T, d vms.Disk) {
	t.Helper()
	out, err := exec.Command("qemu-io", "-f", string(d.Format), "-c", "read -P 0x5a 0 64k", d.Path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "verification failed") {
		t.Errorf("what was on the disk is gone: %v\n%s", err, out)
	}
}

func TestADiskIsNeverShrunk(t *testing.T) {
	vm := testVM(t, "[[disk]]\nsize = \"1MiB\"\npath = \"d\"\n"+noNIC)
	qemuImg(t, "create", "-q", "-f", "qcow2", vm.Disks[0].Path, "3M")
	if err := errors.Join(Check(vm), MakeDisks(t.Context(), vm, func(argv []string) { t.Errorf("ran %q", argv) })); err != nil {
		t.Fatal(err)
	}
	want := "disk " + vm.Disks[0].Path + `: size = "1MiB", and it has 3MiB: a disk is not shrunk`
	if warnings := Warnings(vm, t.TempDir()); len(warnings) != 1 || warnings[0].Error() != want {
		t.Errorf("%q, want %s", warnings, want)
	}
}

func TestADiskThatIsReadOnlyIsNotGrown(t *testing.T) {
	vm := testVM(t, "[[disk]]\nsize = \"3MiB\"\npath = \"d\"\nreadonly = true\n"+noNIC)
	qemuImg(t, "create", "-q", "-f", "qcow2", vm.Disks[0].Path, "1M")
	want := "disk " + vm.Disks[0].Path + `: size = "3MiB", and it has 1MiB: a disk that is read-only is not grown`
	for _, err := range []error{Check(vm), MakeDisks(t.Context(), vm, quiet)} {
		if !errors.Is(err, ErrNotGrown) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestADiskThatAnotherHasOpenIsNotGrown(t *testing.T) {
	vm := testVM(t, "[[disk]]\nsize = \"3MiB\"\npath = \"d\"\n"+noNIC)
	d := vm.Disks[0]
	qemuImg(t, "create", "-q", "-f", "qcow2", d.Path, "1M")
	pid := holdDisk(t, "web", d)
	want := &InUseError{PID: pid, VM: "web"}
	if err := Check(vm); !errors.Is(err, ErrDiskInUse) || err.Error() != "disk "+d.Path+": "+want.Error() {
		t.Errorf("%v, want %v", err, want)
	}
	if err := MakeDisks(t.Context(), vm, quiet); !errors.Is(err, ErrDiskInUse) || err.Error() != "disk "+d.Path+": "+want.Error() {
		t.Errorf("%v, want %v", err, want)
	}
	if size, err := DiskSize(d); err != nil || size != vms.MiB {
		t.Errorf("%v, %v", size, err)
	}
}

// Many may read one disk; one that is written to is one VM's.
func TestWhoHasADiskIsNamed(t *testing.T) {
	vm := testVM(t, "[[disk]]\npath = \"d\"\n[[disk]]\npath = \"e\"\nreadonly = true\n"+noNIC)
	for _, d := range vm.Disks {
		qemuImg(t, "create", "-q", "-f", "qcow2", d.Path, "1M")
	}
	if err := Check(vm); err != nil {
		t.Fatal(err)
	}
	holdDisk(t, "reader", vm.Disks[1])
	if err := Check(vm); err != nil {
		t.Errorf("two that read: %v", err)
	}
	other := vm.Disks[1]
	other.ReadOnly = false
	if err := unlocked(vm, other); !errors.Is(err, ErrDiskInUse) {
		t.Errorf("a writer beside a reader: %v", err)
	}
	other = vm.Disks[0]
	holdDisk(t, "writer", other)
	other.ReadOnly = true
	if err := unlocked(vm, other); !errors.Is(err, ErrDiskInUse) || !strings.Contains(err.Error(), "writer, pid ") {
		t.Errorf("a reader beside a writer: %v", err)
	}
}

// holdDisk has a QEMU, which runs no guest, open a disk as one of ours does.
func holdDisk(t *testing.T, name string, d vms.Disk) (pid int) {
	t.Helper()
	a := args{}
	cmd := exec.Command("qemu-system-x86_64", "-name", "guest="+name, "-nodefaults", "-display", "none", "-S", "-accel", "tcg", "-m", "64", "-qmp", "stdio",
		"-blockdev", a.blockdev(d, "disk0"), "-device", "virtio-blk-pci,drive=disk0")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 1)); err != nil { // it greets when all is open
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

package qemu

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// stranger is a user whom no file belongs to that a test has not given him.
const stranger = 64321

// asStranger runs something on a thread that is of a user without privileges where this one is root, who may do all.
func asStranger(t *testing.T, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		do()
		return
	}
	done := make(chan unix.Errno)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		_, _, err := unix.RawSyscall(unix.SYS_SETRESUID, stranger, stranger, stranger)
		if err == 0 {
			do()
		}
		done <- err
	}()
	if err := <-done; err != 0 {
		t.Fatal(err)
	}
}

// closed takes all permissions from a file or directory until the test ends.
func closed(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(path, 0o700) })
}

func TestWhatDeniesAFileIsNamed(t *testing.T) {
	vm := testVM(t, "firmware = \"uefi\"\n[kernel]\nimage = \"dir/k\"\ninitrd = \"i\"\n[[disk]]\npath = \"d\"\nformat = \"raw\"\n[[disk]]\npath = \"dir/e\"\nformat = \"raw\"\nreadonly = true\n"+noNIC)
	top := filepath.Dir(vm.File)
	for _, file := range []string{vm.Kernel.Image, vm.Kernel.Initrd, vm.Disks[0].Path, vm.Disks[1].Path, uefiVars(vm)} {
		makeFile(t, file, "x")
	}
	for _, dir := range []string{vm.DataDir, filepath.Dir(vm.DataDir), filepath.Dir(vm.Kernel.Image), top, filepath.Dir(top)} {
		closed(t, dir, 0o755)
	}
	closed(t, vm.Kernel.Initrd, 0)
	closed(t, vm.Disks[0].Path, 0)
	closed(t, uefiVars(vm), 0)
	closed(t, filepath.Dir(vm.Kernel.Image), 0)
	owner := userName(os.Geteuid())
	file := func(what, path string) string {
		return what + " " + path + ": cannot be used: permission denied: file " + path + " belongs to " + owner + ", mode 0000"
	}
	inDir := "permission denied: directory " + top + "/dir belongs to " + owner + ", mode 0000"
	want := map[string]string{
		"kernel": "kernel image " + vm.Kernel.Image + ": cannot be used: " + inDir,
		"initrd": file("initrd", vm.Kernel.Initrd),
		"uefi":   file("UEFI variables", uefiVars(vm)),
		"disk0":  "disk " + vm.Disks[0].Path + ": permission denied: file " + vm.Disks[0].Path + " belongs to " + owner + ", mode 0000",
		"disk1":  "disk " + vm.Disks[1].Path + ": " + inDir,
	}
	asStranger(t, func() {
		for _, c := range checks(vm) {
			err := c.look()
			if _, denied := errors.AsType[*DeniedError](err); want[c.id] != "" && (!denied || err.Error() != want[c.id]) {
				t.Errorf("%s:\ngot  %v\nwant %s", c.id, err, want[c.id])
			}
		}
	})
}

func TestADiskThatCannotBeWrittenIsForReadingOnly(t *testing.T) {
	d := vms.Disk{Path: "/etc/passwd", Format: vms.Raw} // root's, for all to read
	want := "disk /etc/passwd: permission denied: file /etc/passwd belongs to root, mode 0644: the guest could not write to it"
	asStranger(t, func() {
		if err := usable(d); !errors.Is(err, ErrNotWritable) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		d.ReadOnly = true
		if err := usable(d); err != nil {
			t.Errorf("for reading: %v", err)
		}
	})
}

func TestTheUsersOwnDiskIsMadeWritableByItsMode(t *testing.T) {
	d := vms.Disk{Path: t.TempDir() + "/d", Format: vms.Raw}
	makeFile(t, d.Path, "x")
	closed(t, filepath.Dir(d.Path), 0o755)
	closed(t, filepath.Dir(filepath.Dir(d.Path)), 0o755)
	closed(t, d.Path, 0o444)
	if os.Geteuid() == 0 {
		if err := os.Chown(d.Path, stranger, stranger); err != nil {
			t.Fatal(err)
		}
	}
	asStranger(t, func() {
		denied, _ := errors.AsType[*DeniedError](usable(d))
		if denied == nil || !denied.Own || denied.Path != d.Path || errors.Is(usable(d), ErrNotWritable) {
			t.Errorf("%v", usable(d))
		}
	})
}

// Attributes can be set by root alone, on a file system that has them.
func TestAnAttributeThatKeepsTheGuestFromWritingIsNamed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can set the attributes of a file")
	}
	for _, letter := range []string{"i", "a"} {
		d := vms.Disk{Path: t.TempDir() + "/d", Format: vms.Raw}
		makeFile(t, d.Path, "x")
		if out, err := exec.Command("chattr", "+"+letter, d.Path).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		err := usable(d)
		d.ReadOnly = true
		if err := usable(d); err != nil {
			t.Errorf("for reading: %v", err)
		}
		if out, err := exec.Command("chattr", "-"+letter, d.Path).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		want := "disk " + d.Path + ": it has the attribute +" + letter + " (chattr(1)): the guest could not write to it"
		if _, ok := errors.AsType[*AttributeError](err); !ok || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestADeviceThatIsAbsentIsNotMade(t *testing.T) {
	d := vms.Disk{Path: "/dev/nosuch/volume", Size: vms.GiB, Format: vms.Raw}
	for _, err := range []error{usable(d), makeDisk(t.Context(), vms.VM{}, d, quiet)} {
		if !errors.Is(err, ErrDeviceAbsent) {
			t.Errorf("%v, want %v", err, ErrDeviceAbsent)
		}
	}
}

func TestACompressedKernelIsToldByItsFirstBytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kernel")
	for program, magic := range map[string]string{
		"gzip": "\x1f\x8b\x08", "xz": "\xfd7zXZ\x00\x00", "zstd": "\x28\xb5\x2f\xfd\x04", "bzip2": "BZh9", "lz4": "\x02\x21\x4c\x18", "": "MZ\xea\x07", " ": "",
	} {
		makeFile(t, path, magic)
		for _, arch := range []string{"x86_64", "aarch64"} {
			err := checkCompression(arch, path)
			want := strings.TrimSpace(program)
			if arch == "aarch64" && program == "gzip" {
				want = ""
			}
			compressed, _ := errors.AsType[*CompressedError](err)
			if (want == "") != (err == nil) || want != "" && compressed.Program != want {
				t.Errorf("%s on %s: %v", program, arch, err)
			}
		}
	}
}

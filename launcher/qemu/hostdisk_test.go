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

// The lock is another's as far as this process can tell: it is that of another open file.
func TestNothingIsRemovedThatAnotherUsersQEMUHasOpen(t *testing.T) {
	for _, permission := range []int64{lockHas + permRead, lockHas + permWrite, lockUnshared + permRead, lockUnshared + permWrite} {
		vm := testVM(t, "[[disk]]\nsize = \"1MiB\"\n"+noNIC)
		if err := MakeDisks(t.Context(), vm, quiet); err != nil {
			t.Fatal(err)
		}
		path := vm.Disks[0].Path
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		lock := unix.Flock_t{Type: unix.F_RDLCK, Start: permission, Len: 1}
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
			t.Fatal(err)
		}
		want := path + ": another QEMU has a disk open, of another user"
		if err := Remove(vm); !errors.Is(err, ErrDiskInUse) || err.Error() != want {
			t.Errorf("%d: got  %v\nwant %s", permission, err, want)
		}
		if err := errors.Join(f.Close(), Remove(vm)); err != nil {
			t.Error(err)
		}
	}
}

func TestAFileThatALoopDeviceIsOnIsNotAGuestsToWrite(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		var options []string
		if readOnly {
			options = []string{"--read-only"}
		}
		device := loopDevice(t, options...)
		text, err := os.ReadFile("/sys/block/" + filepath.Base(device) + "/loop/backing_file")
		if err != nil {
			t.Fatal(err)
		}
		d := vms.Disk{Path: strings.TrimSpace(string(text)), Format: vms.Raw}
		want := "disk " + d.Path + ": the loop device " + device + " has it open"
		loop := func(err error) bool { _, ok := errors.AsType[*LoopError](err); return ok && err.Error() == want }
		if err := checkHeld(vms.VM{RunDir: t.TempDir()}, d); !loop(err) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		d.ReadOnly = true
		if err := checkHeld(vms.VM{RunDir: t.TempDir()}, d); loop(err) == readOnly {
			t.Errorf("for reading, of a device that only reads: %v: %v", readOnly, err)
		}
		vm := testVM(t, noNIC)
		if err := os.Link(d.Path, vm.DataDir+"/disk0.raw"); err != nil {
			t.Fatal(err)
		}
		if err := Remove(vm); err == nil || err.Error() != vm.DataDir+"/disk0.raw: the loop device "+device+" has it open" {
			t.Errorf("rm: %v", err)
		}
	}
}

func TestADeviceThatTheHostUsesIsNotAGuestsToWrite(t *testing.T) {
	d := vms.Disk{Path: loopDevice(t), Format: vms.Raw}
	vm := vms.VM{RunDir: t.TempDir()}
	if err := checkHeld(vm, d); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(d.Path, os.O_RDONLY|os.O_EXCL, 0) // as swapon and mount do
	if err != nil {
		t.Fatal(err)
	}
	want := "disk " + d.Path + ": this host uses the device: as swap, or in LVM or RAID"
	if err := checkHeld(vm, d); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	_ = f.Close()
	if out, err := exec.Command("mke2fs", "-q", d.Path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	dir := filepath.Join(t.TempDir(), `a b\c`)
	makeFile(t, dir+"/x", "")
	whereMounted(t, d.Path, dir, func() {
		want = "disk " + d.Path + ": this host has it mounted on " + dir
		if err := checkHeld(vm, d); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		d.ReadOnly = true
		if err := checkHeld(vm, d); err != nil {
			t.Errorf("for reading: %v", err)
		}
	})
}

func TestADeviceThatADefinitionHasTwiceIsRefused(t *testing.T) {
	device := loopDevice(t)
	var stat unix.Stat_t
	node := filepath.Join(filepath.Dir(device), "qlaunch-test-"+filepath.Base(device)) // the test's own directory may be nodev
	if err := errors.Join(unix.Stat(device, &stat), unix.Mknod(node, unix.S_IFBLK|0o600, int(stat.Rdev))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(node) })
	vm := vms.VM{RunDir: t.TempDir(), Disks: []vms.Disk{{Path: device, Format: vms.Raw}, {Path: node, Format: vms.Raw}}}
	want := "disk " + node + ": another name for disk " + device
	if err := checkHeld(vm, vm.Disks[1]); !errors.Is(err, ErrDiskTwice) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// whereMounted runs something on a thread in whose mount namespace a device is mounted.
func whereMounted(t *testing.T, device, dir string, do func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, and the namespace, end with the goroutine
		err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount(device, dir, "ext4", 0, "")
		}
		if err == nil {
			do()
			err = unix.Unmount(dir, 0)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

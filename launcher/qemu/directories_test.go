package qemu

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhatKeepsAStartFromItsDirectoriesIsFoundWithoutMakingThem(t *testing.T) {
	vm := testVM(t, noNIC)
	if err := os.RemoveAll(vm.DataDir); err != nil {
		t.Fatal(err)
	}
	if err := checkDirs(vm); err != nil {
		t.Errorf("all is well, and: %v", err)
	}
	if _, err := os.Lstat(vm.DataDir); !os.IsNotExist(err) {
		t.Errorf("the look has made it: %v", err)
	}
	parent := filepath.Dir(vm.DataDir)
	if err := os.RemoveAll(parent); err != nil {
		t.Fatal(err)
	}
	makeFile(t, parent, "")
	expectError(t, checkDirs(vm), "write into "+vm.DataDir+": not a directory")
	if err := os.Remove(parent); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(vm.DataDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(vm.DataDir, 0o755); err != nil {
		t.Fatal(err)
	}
	expectError(t, checkDirs(vm), vm.DataDir+": not a private directory of this user: its mode is 0755")
	closed(t, vm.DataDir, 0o700)
	vm.RunDir, vm.StateDir, vm.DataDir = "/tmp/not-there/run/web", "/tmp/not-there/state/web", parent+"/vms/web"
	closed(t, parent, 0o555)
	for _, dir := range []string{filepath.Dir(parent), filepath.Dir(filepath.Dir(parent))} {
		closed(t, dir, 0o755)
	}
	asStranger(t, func() {
		denied, ok := errors.AsType[*DeniedError](checkDirs(vm))
		if !ok || denied.Path != parent || denied.Need != "w" {
			t.Errorf("%v", checkDirs(vm))
		}
	})
}

func TestADiskThatIsMadeNeedsADirectoryAndItsTool(t *testing.T) {
	vm := testVM(t, noNIC+"[[disk]]\nsize = \"1MiB\"\npath = \"file/disk.qcow2\"\n")
	file := filepath.Dir(vm.Disks[0].Path)
	makeFile(t, file, "")
	if err := usable(vm.Disks[0]); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file where the disk's directory should be: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	vm.QEMU.Binary = script(t, "")
	expectError(t, Check(vm), "qemu-img: not installed")
	qemu := vm.Disks[0]
	qemu.Size = 0
	if needsQEMUImg(qemu) {
		t.Error("a disk that is not made needs no tool")
	}
}

func expectError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

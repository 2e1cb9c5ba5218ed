package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qlaunch/qlaunch/vms"
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

func TestWhatIsNotPrivateIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(run string) error
		want  string
	}{
		"a symbolic link": {func(run string) error { return os.Symlink("/tmp", run) }, "it is a symbolic link"},
		"a file":          {func(run string) error { return os.WriteFile(run, nil, 0o600) }, "it is a file"},
		"an open mode":    {func(run string) error { return errors.Join(os.Mkdir(run, 0o700), os.Chmod(run, 0o755)) }, "its mode is 0755"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			run := filepath.Join(dir, "qlaunch")
			if err := c.plant(run); err != nil {
				t.Fatal(err)
			}
			err := MakeDirs(vms.VM{RunDir: run + "/guestvm", StateDir: dir + "/state/guestvm", DataDir: dir + "/data/guestvm"})
			want := fmt.Sprintf("%s: not a private directory of this user: %s", run, c.want)
			if e, ok := errors.AsType[*NotPrivateError](err); !ok || err.Error() != want || e.Dir != run {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// What is missing below a directory that cannot have one is no removal by another command, after which all would be made again.
func TestADirectoryThatCannotBeMadeIsSaidAtOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	_, err := MakeAndAcquire(ctx, vms.VM{RunDir: dir + "/run/guestvm", StateDir: "/proc/nosuch/guestvm", DataDir: dir + "/data/guestvm"}, CommandUp)
	const want = "make directory: mkdir /proc/nosuch: no such file or directory"
	if err == nil || err.Error() != want || ctx.Err() != nil {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestAFileIsWrittenWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write := func(text string, then error) error {
		return writeFile(path, func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return errors.Join(err, then)
		})
	}
	if err := write("whole", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", path+".part"); err != nil { // a link in the way is not followed, and no obstacle
		t.Fatal(err)
	}
	if err := write("whole", nil); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("no space left")
	if err := write("half", broken); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(path); string(text) != "whole" {
		t.Errorf("%q", text)
	}
	if _, err := os.Stat(path + ".part"); !os.IsNotExist(err) {
		t.Errorf("the part is left: %v", err)
	}
}

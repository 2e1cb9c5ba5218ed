package qemu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

func TestAMissingDiskIsMadeWithItsSizeAndOnce(t *testing.T) {
	vm := testVM(t, "[[disk]]\nsize = \"3MiB\"\n[[disk]]\nsize = \"2MiB\"\nformat = \"raw\"\npath = \"deep/er/b.raw\"\n"+noNIC)
	var ran [][]string
	if err := MakeDisks(t.Context(), vm, func(argv []string) { ran = append(ran, argv) }); err != nil {
		t.Fatal(err)
	}
	if len(ran) != 2 {
		t.Errorf("ran %q", ran)
	}
	for i, want := range []string{`"virtual-size": 3145728`, `"virtual-size": 2097152`} {
		d := vm.Disks[i]
		info, err := exec.Command("qemu-img", "info", "--output=json", "-f", string(d.Format), d.Path).CombinedOutput()
		if err != nil || !strings.Contains(string(info), want) {
			t.Errorf("%s: %v\n%s\nwant %s", d.Path, err, info, want)
		}
		if stat, err := os.Stat(d.Path); err != nil || stat.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", d.Path, stat.Mode(), err)
		}
		if left, _ := filepath.Glob(filepath.Dir(d.Path) + "/.qlaunch*"); left != nil {
			t.Errorf("left: %q", left)
		}
	}
	guests := "the guest's" + strings.Repeat("\x00", 2<<20-len("the guest's")) // as large as it was made
	if err := os.WriteFile(vm.Disks[1].Path, []byte(guests), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MakeDisks(t.Context(), vm, quiet); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(vm.Disks[1].Path); string(text) != guests {
		t.Errorf("the disk was made anew: %.20q", text)
	}
}

func TestADiskThatCannotBeMadeSaysWhyAndLeavesNothing(t *testing.T) {
	vm := testVM(t, "[[disk]]\nsize = \"1MiB\"\npath = \"data/disk\"\n"+noNIC)
	bin := t.TempDir()
	makeFile(t, bin+"/qemu-img", "#!/bin/sh\necho half >\"$5\"\necho 'qemu-img: no' >&2\necho so >&2\nexit 1\n")
	if err := os.Chmod(bin+"/qemu-img", 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	err := MakeDisks(t.Context(), vm, quiet)
	if want := "disk " + vm.Disks[0].Path + ": create: exit status 1: qemu-img: no; so"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if left := besides(t, vm.Disks[0]); left != nil {
		t.Errorf("left: %q", left)
	}
}

// besides are the files in a disk's directory but for the disk and the directories of testVM.
func besides(t *testing.T, d vms.Disk) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(d.Path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if !entry.IsDir() && entry.Name() != filepath.Base(d.Path) {
			names = append(names, entry.Name())
		}
	}
	return names
}

// A disk is made beside its place. No file that is there is touched, whatever its name, and a disk's name may be as
// long as names can be.
func TestADiskIsMadeBesideItsPlaceAndTouchesNoOtherFile(t *testing.T) {
	name := strings.Repeat("n", 250)
	vm := testVM(t, "[[disk]]\nsize = \"1MiB\"\npath = \"disks/"+name+"\"\n[[disk]]\nsize = \"1MiB\"\npath = \"disks/linked\"\n"+noNIC)
	dir := filepath.Dir(vm.Disks[0].Path)
	makeFile(t, dir+"/precious", "precious")
	makeFile(t, dir+"/"+name+".part", "precious")
	if err := os.Symlink("precious", dir+"/linked.part"); err != nil {
		t.Fatal(err)
	}
	if err := MakeDisks(t.Context(), vm, quiet); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"precious", name + ".part", "linked.part"} {
		if text, err := os.ReadFile(filepath.Join(dir, file)); string(text) != "precious" {
			t.Errorf("%s: %q, %v", file, text, err)
		}
	}
}

// What a start that was killed has left is no obstacle, does not pile up, and goes with the VM.
func TestWhatAKilledStartHasLeftOfADiskIsRemoved(t *testing.T) {
	for _, linked := range []bool{false, true} {
		vm := testVM(t, "[[disk]]\nsize = \"1MiB\"\npath = \"disks/d\"\n"+noNIC)
		d := vm.Disks[0]
		part := partName(vm, d)
		if linked { // it was killed between the disk's link and the removal of the other name
			if err := MakeDisks(t.Context(), vm, quiet); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(d.Path, part); err != nil {
				t.Fatal(err)
			}
		} else {
			makeFile(t, part, "half")
		}
		if err := MakeDisks(t.Context(), vm, quiet); err != nil {
			t.Fatal(err)
		}
		if size, err := DiskSize(d); err != nil || size != vms.MiB {
			t.Errorf("%v, %v", size, err)
		}
		if left := besides(t, d); left != nil {
			t.Errorf("left: %q", left)
		}
		makeFile(t, part, "half")
		if err := Remove(vm); err != nil {
			t.Fatal(err)
		}
		if left := besides(t, d); left != nil {
			t.Errorf("left by rm: %q", left)
		}
	}
}

// Two VMs whose one disk is missing are started at once: one makes it, and the other finds it.
func TestADiskThatTwoStartsMakeAtOnceIsMadeOnce(t *testing.T) {
	one := testVM(t, "[[disk]]\nsize = \"1MiB\"\npath = \"disks/d\"\n"+noNIC)
	var all sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		all.Go(func() {
			vm := one
			vm.DataDir = fmt.Sprint(one.DataDir, i)
			errs[i] = MakeDisks(t.Context(), vm, quiet)
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if left := besides(t, one.Disks[0]); left != nil {
		t.Errorf("left: %q", left)
	}
}

func TestASocketIsNoDisk(t *testing.T) {
	d := vms.Disk{Path: t.TempDir() + "/socket", Format: vms.Raw}
	if err := unix.Mknod(d.Path, unix.S_IFSOCK|0o600, 0); err != nil {
		t.Fatal(err)
	}
	want := "disk " + d.Path + ": a socket is neither a regular file nor a block device"
	if err := usable(d); !errors.Is(err, ErrDiskKind) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// The images are made by the real qemu-img; one that points elsewhere must be refused by the header alone.
func TestAnImageThatPointsToAnotherFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	qemuImg := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
			t.Fatalf("qemu-img %q: %v\n%s", args, err, out)
		}
	}
	base := dir + "/base.raw"
	qemuImg("create", "-f", "raw", base, "1M")
	for name, image := range map[string]struct {
		options []string
		want    error
	}{
		"plain":     {[]string{"1M"}, nil},
		"old":       {[]string{"-o", "compat=0.10", "1M"}, nil},
		"backed":    {[]string{"-b", base, "-F", "raw"}, ErrBackingFile},
		"oldbacked": {[]string{"-o", "compat=0.10", "-b", base, "-F", "raw"}, ErrBackingFile},
		"external":  {[]string{"-o", "data_file=" + dir + "/data.raw", "1M"}, ErrExternalData},
	} {
		path := filepath.Join(dir, name+".qcow2")
		qemuImg(append([]string{"create", "-f", "qcow2", path}, image.options...)...)
		if err := checkDisk(vms.Disk{Path: path, Format: vms.QCOW2}); !errors.Is(err, image.want) {
			t.Errorf("%s: %v, want %v", name, err, image.want)
		}
	}
	if err := checkDisk(vms.Disk{Path: base, Format: vms.QCOW2}); !errors.Is(err, ErrNotQCOW2) {
		t.Errorf("raw: %v, want %v", err, ErrNotQCOW2)
	}
}

// The images are made by the real qemu-img.
func TestAnImageThatIsNotQCOW2IsNamed(t *testing.T) {
	dir := t.TempDir()
	for name, options := range map[string][]string{
		"vmdk": {"-f", "vmdk"}, "descriptor": {"-f", "vmdk", "-o", "subformat=monolithicFlat"},
		"vdi": {"-f", "vdi"}, "vhdx": {"-f", "vhdx"}, "vpc": {"-f", "vpc"},
	} {
		path := filepath.Join(dir, name)
		qemuImg(t, append(append([]string{"create", "-q"}, options...), path, "1M")...)
		want := fmt.Sprintf("disk %s: a %s image, not a qcow2 image", path, options[1])
		err := usable(vms.Disk{Path: path, Format: vms.QCOW2})
		if e, ok := errors.AsType[*FormatError](err); !ok || e.Path != path || e.Format != options[1] || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if err := usable(vms.Disk{Path: path, Format: vms.Raw}); err != nil {
			t.Errorf("%s as raw: %v", name, err)
		}
		if _, err := ImageFormat(path); err == nil || err.Error() != fmt.Sprintf("a %s image, not a qcow2 image", options[1]) {
			t.Errorf("%s for a new definition: %v", name, err)
		}
	}
	empty := vms.Disk{Path: dir + "/empty", Format: vms.QCOW2}
	makeFile(t, empty.Path, "")
	if err := usable(empty); !errors.Is(err, ErrEmptyImage) || errors.Is(err, ErrNotQCOW2) {
		t.Errorf("%v, want %v", err, ErrEmptyImage)
	}
}

func TestAnImageWhoseHeaderSaysMoreThanAFileCanHaveIsRefused(t *testing.T) {
	d := vms.Disk{Path: t.TempDir() + "/image", Format: vms.QCOW2}
	qemuImg(t, "create", "-q", "-f", "qcow2", d.Path, "1M")
	image, err := os.ReadFile(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	for size, want := range map[uint64]error{math.MaxInt64: nil, math.MaxInt64 + 1: ErrImageSize, math.MaxUint64: ErrImageSize} {
		binary.BigEndian.PutUint64(image[24:], size)
		makeFile(t, d.Path, string(image))
		if err := usable(d); !errors.Is(err, want) {
			t.Errorf("%d: %v, want %v", size, err, want)
		}
	}
}

func TestADiskThatADefinitionHasTwiceUnderTwoNamesIsRefused(t *testing.T) {
	vm := testVM(t, "[[disk]]\npath = \"a\"\nformat = \"raw\"\n[[disk]]\npath = \"b\"\nformat = \"raw\"\n[[disk]]\npath = \"c\"\nformat = \"raw\"\n"+noNIC)
	a, b, c := vm.Disks[0].Path, vm.Disks[1].Path, vm.Disks[2].Path
	makeFile(t, a, "x")
	makeFile(t, b, "x")
	for _, link := range []func(string, string) error{os.Link, os.Symlink} {
		if err := link(a, c); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("disk %s: another name for disk %s", c, a)
		if err := Check(vm); !errors.Is(err, ErrDiskTwice) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if err := os.Remove(c); err != nil {
			t.Fatal(err)
		}
	}
	makeFile(t, c, "x")
	if err := Check(vm); err != nil {
		t.Error(err)
	}
}

// The real qemu-img opens no other file of the host's for an image that is let in. The bytes come before a good image's rest.
func FuzzAnImagesHeaderIsReadWithoutHarm(f *testing.F) {
	good := makeImage(f, "1M")
	for _, image := range [][]byte{good, makeImage(f, "-o", "compat=0.10", "1M"), makeImage(f, "-u", "-b", "/nosuch", "-F", "raw", "1M"),
		makeImage(f, "-o", "data_file=DIR/data", "1M")} {
		f.Add(image[:0x200])
	}
	f.Add([]byte("QFI\xfb"))
	f.Add([]byte("QFI\xfb\x00\x00\x00\x03" + strings.Repeat("\x00", 72)))
	f.Add([]byte("QFI\xfb\x00\x00\x00\x03" + strings.Repeat("\xff", 72)))
	f.Fuzz(func(t *testing.T, header []byte) {
		if checkQCOW2("", strings.NewReader(string(header))) != nil {
			return
		}
		if len(header) < 72 || fmt.Sprintf("%x", header[8:16]) != "0000000000000000" {
			t.Errorf("accepted: %x", header)
		}
		path := filepath.Join(t.TempDir(), "image")
		image := append(slices.Clone(header), good[min(len(header), len(good)):]...)
		if err := os.WriteFile(path, image, 0o600); err != nil {
			t.Fatal(err)
		}
		said, _ := exec.CommandContext(t.Context(), "qemu-img", "map", "-f", "qcow2", path).CombinedOutput() // it may well refuse it
		for _, opened := range regexp.MustCompile(`[Cc]ould not open '([^']*)'|backing file`).FindAllSubmatch(said, -1) {
			if string(opened[1]) != path {
				t.Errorf("accepted: %x\n%s", header, said)
			}
		}
	})
}

// makeImage has qemu-img make an image.
func makeImage(f *testing.F, options ...string) []byte {
	f.Helper()
	dir := f.TempDir()
	path := filepath.Join(dir, "image")
	for i := range options {
		options[i] = strings.ReplaceAll(options[i], "DIR", dir)
	}
	if out, err := exec.Command("qemu-img", append([]string{"create", "-f", "qcow2", path}, options...)...).CombinedOutput(); err != nil {
		f.Fatalf("qemu-img: %v\n%s", err, out)
	}
	image, err := os.ReadFile(path)
	// That a file is missing is what tells that it is looked for.
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		f.Fatal(err)
	}
	return image
}

// What an image is called does not count.
func TestAnImagesFormatIsThatOfItsHeader(t *testing.T) {
	dir := t.TempDir()
	qcow2 := append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, 504)...)
	backed := append([]byte("QFI\xfb\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x02"), make([]byte, 497)...)
	for _, test := range []struct {
		name string
		data []byte
		want vms.DiskFormat
		err  error
	}{
		{"a.raw", qcow2, vms.QCOW2, nil},
		{"a.qcow2", make([]byte, 1024), vms.Raw, nil},
		{"backed.qcow2", backed, vms.QCOW2, ErrBackingFile},
		{"text", []byte("this is no image\n"), "", ErrNoImage},
		{"empty", nil, "", ErrNoImage},
	} {
		path := filepath.Join(dir, test.name)
		if err := os.WriteFile(path, test.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ImageFormat(path); got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: got %q, %v", test.name, got, err)
		}
	}
	if _, err := ImageFormat(dir); !errors.Is(err, ErrDiskKind) {
		t.Errorf("a directory: got %v", err)
	}
	if _, err := ImageFormat(filepath.Join(dir, "nosuch")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: got %v", err)
	}
}

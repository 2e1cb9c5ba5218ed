package qemu

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// What can be wrong with a disk.
var (
	ErrDiskMissing  = errors.New("no such file, and no size to create it with")
	ErrDeviceAbsent = errors.New("no such device")
	ErrNotWritable  = errors.New("the guest could not write to it")
	ErrNotGrown     = errors.New("is not grown")
	ErrNotShrunk    = errors.New("is not shrunk")
	ErrDiskKind     = errors.New("neither a regular file nor a block device")
	ErrDiskTwice    = errors.New("another name for disk")
	ErrNotQCOW2     = errors.New("not a qcow2 image")
	ErrEmptyImage   = errors.New("an empty file, not a qcow2 image")
	ErrImageSize    = errors.New("not a qcow2 image that can be used: its header says that the guest sees 8EiB or more")
	ErrBackingFile  = errors.New("the image names a backing file, which the definition does not: it would let the image's author read that file")
	ErrExternalData = errors.New("the image keeps its data in another file: it would let the image's author read and write that file")
)

// MakeDisks creates the disks of a VM that are missing and have a size, grows the images that are smaller than
// that, and checks those that are there: a qcow2 image that points to another of the
// host's files is refused before any of QEMU's tools opens it. A VM that boots
// with UEFI gets its own copy of the firmware's variables. verbose is told each command that is run.
func MakeDisks(ctx context.Context, vm vms.VM, verbose func(argv []string)) error {
	for _, d := range vm.Disks {
		if err := makeDisk(ctx, vm, d, verbose); err != nil {
			return withHolder(vm, fmt.Errorf("disk %s: %w", d.Path, err))
		}
	}
	return makeUEFIVars(vm)
}

// imageTool makes and grows images.
const imageTool = "qemu-img"

// needsQEMUImg tells whether a start makes a disk, or grows it.
func needsQEMUImg(d vms.Disk) bool {
	err := checkDisk(d)
	if err != nil {
		return errors.Is(err, ErrDiskMissing) && d.Size > 0
	}
	has, _, err := diskSize(d)
	return err == nil && d.Size > has
}

// usable says what is wrong with a disk that is there, or that there is none and none can be made.
func usable(d vms.Disk) error {
	err := checkDisk(d)
	if err == nil {
		err = checkSize(d)
	}
	if errors.Is(err, ErrDiskMissing) && d.Size > 0 {
		err = madeIn(filepath.Dir(d.Path))
	}
	if err == nil {
		return nil
	}
	return &DiskError{d.Path, err}
}

// checkHeld says why a start cannot have a disk: as usable, or because somebody else has it.
func checkHeld(vm vms.VM, d vms.Disk) error {
	if err := cmp.Or(usable(d), checkTwice(vm, d), unlocked(vm, d)); err != nil {
		return err
	}
	if err := cmp.Or(checkLoops(d.Path, d.ReadOnly), checkClaimed(d)); err != nil {
		return fmt.Errorf("disk %s: %w", d.Path, err)
	}
	return nil
}

// checkTwice finds a disk before this one that is the same file or device: a definition is refused that has one path
// twice, but the disk may have other names.
func checkTwice(vm vms.VM, d vms.Disk) error {
	info, err := os.Stat(d.Path)
	if err != nil {
		return nil //nolint:nilerr // it is yet to be made
	}
	for _, other := range vm.Disks {
		if other.Path == d.Path {
			break
		}
		if has, err := os.Stat(other.Path); err == nil && isSame(has, info) {
			return &DiskError{d.Path, fmt.Errorf("%w %s", ErrDiskTwice, other.Path)}
		}
	}
	return nil
}

// DiskError says that a disk of the definition is not one that a VM can be started with.
type DiskError struct {
	Path string
	Err  error
}

// Error names the disk.
func (e *DiskError) Error() string { return fmt.Sprintf("disk %s: %v", e.Path, e.Err) }

// Unwrap is the cause.
func (e *DiskError) Unwrap() error { return e.Err }

func makeDisk(ctx context.Context, vm vms.VM, d vms.Disk, verbose func([]string)) error {
	if err := removePart(vm, d); err != nil {
		return err
	}
	err := checkDisk(d)
	if errors.Is(err, ErrDiskMissing) && d.Size > 0 {
		err = cmp.Or(createDisk(ctx, vm, d, verbose), checkDisk(d))
	}
	if err != nil {
		return err
	}
	return growDisk(ctx, d, verbose)
}

// createDisk creates a missing disk, whole or not at all.
func createDisk(ctx context.Context, vm vms.VM, d vms.Disk, verbose func([]string)) error {
	if err := os.MkdirAll(filepath.Dir(d.Path), 0o700); err != nil {
		return err
	}
	part := partName(vm, d)
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // qemu-img leaves its mode as it is
	if err != nil {
		return err
	}
	argv := []string{imageTool, "create", "-q", "-f", string(d.Format), part, strconv.FormatUint(uint64(d.Size), 10)}
	verbose(argv)
	err = cmp.Or(f.Close(), runQEMUImg(ctx, "create", argv))
	if err == nil {
		// A link, unlike a rename, never replaces a disk that another start made meanwhile.
		err = os.Link(part, d.Path)
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return errors.Join(err, os.Remove(part))
}

// partName is where a missing disk is created: beside its place, so that a link can put it there. The name is derived
// from the VM's data directory, whose lock the caller holds: what is found under it was left by a start of this VM that
// was killed.
func partName(vm vms.VM, d vms.Disk) string {
	sum := sha256.Sum256([]byte(vm.DataDir + "\x00" + d.Path))
	return filepath.Join(filepath.Dir(d.Path), fmt.Sprintf(".qlaunch-%x.part", sum[:8]))
}

// removePart removes what a start that was killed has left of a disk. On a read-only file system even the removal of
// what is not there fails.
func removePart(vm vms.VM, d vms.Disk) error {
	part := partName(vm, d)
	if _, err := os.Lstat(part); err != nil {
		return nil //nolint:nilerr // it cannot be there
	}
	return os.Remove(part)
}

// runQEMUImg runs qemu-img for something that is done to a disk. What it says on several lines becomes one.
func runQEMUImg(ctx context.Context, doing string, argv []string) error {
	said, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	words := strings.ReplaceAll(strings.TrimSpace(string(said)), "\n", "; ")
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil: // which ended it, and whose words are not its own
		return context.Cause(ctx)
	case lacksLock(words):
		return fmt.Errorf("%s: %w: %w: %s", doing, err, ErrDiskInUse, words)
	}
	return fmt.Errorf("%s: %w: %s", doing, err, words)
}

func checkDisk(d vms.Disk) error {
	// O_NONBLOCK: a pipe in the disk's place must not hold the start up.
	f, err := os.OpenFile(d.Path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missing(d)
	case errors.Is(err, fs.ErrPermission):
		return cmp.Or(permitted(d.Path, access(d)), cause(err))
	case errors.Is(err, unix.ENXIO): // a socket, or a device whose driver has none of that number (open(2))
		info, _ := os.Stat(d.Path)
		return cmp.Or(checkKind(info), cause(err))
	case err != nil:
		return cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return cause(err)
	}
	if err := cmp.Or(checkKind(info), checkWritable(d, f, info)); err != nil {
		return err
	}
	if d.Format != vms.QCOW2 {
		return nil
	}
	return checkQCOW2(d.Path, f)
}

func checkKind(info fs.FileInfo) error {
	if info == nil || info.Mode().IsRegular() || isBlock(info) {
		return nil
	}
	return fmt.Errorf("a %s is %w", kindOf(info.Mode()), ErrDiskKind)
}

// missing tells why there is no disk at a path: in the directory of devices, and behind a symbolic link, none is made.
func missing(d vms.Disk) error {
	if isDevicePath(d.Path) {
		return ErrDeviceAbsent
	}
	return cmp.Or(dangling(d.Path), ErrDiskMissing)
}

// FormatError says that an image is not the qcow2 that its definition says, and what it is.
type FormatError struct {
	Path   string
	Format string // as qemu-img calls it
}

// Error names the format.
func (e *FormatError) Error() string { return fmt.Sprintf("a %s image, %v", e.Format, ErrNotQCOW2) }

// formatOf knows images of other programs by their first bytes (QEMU's block/vmdk.c, vdi.c, vhdx.c and vpc.c).
func formatOf(header []byte) string {
	for _, known := range []struct {
		format string
		at     int
		magic  string
	}{
		{"vmdk", 0, "KDMV"}, {"vmdk", 0, "COWD"}, {"vmdk", 0, "# Disk DescriptorFile"},
		{"vdi", 0x40, "\x7f\x10\xda\xbe"}, {"vhdx", 0, "vhdxfile"}, {"vpc", 0, "conectix"},
	} {
		if len(header) > known.at && bytes.HasPrefix(header[known.at:], []byte(known.magic)) {
			return known.format
		}
	}
	return ""
}

// checkQCOW2 reads an image's header (QEMU's docs/interop/qcow2.txt: magic,
// version, the backing file's offset at byte 8, the size at byte 24, the incompatible features at
// byte 72 from version 3 on, of which bit 2 is "external data file").
func checkQCOW2(path string, r io.Reader) error {
	header := make([]byte, 80)
	n, err := io.ReadFull(r, header)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	if n == 0 {
		return ErrEmptyImage
	}
	if format := formatOf(header[:n]); format != "" {
		return &FormatError{path, format}
	}
	if n < 72 || !bytes.HasPrefix(header, []byte("QFI\xfb")) {
		return ErrNotQCOW2
	}
	const externalData = 1 << 2
	switch {
	case binary.BigEndian.Uint64(header[8:]) != 0:
		return ErrBackingFile
	case binary.BigEndian.Uint32(header[4:]) >= 3 && binary.BigEndian.Uint64(header[72:])&externalData != 0:
		return ErrExternalData
	case binary.BigEndian.Uint64(header[24:]) > math.MaxInt64:
		return ErrImageSize
	}
	return nil
}

package qemu

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// What can be wrong with a disk.
var (
	ErrDiskMissing  = errors.New("no such file, and no size to create it with")
	ErrDeviceAbsent = errors.New("no such device")
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

// usable says why a disk cannot be used, or why a missing one cannot be created.
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

// checkHeld says why a start cannot use a disk: as usable, or because another process uses it.
func checkHeld(vm vms.VM, d vms.Disk) error {
	if err := cmp.Or(usable(d), checkTwice(vm, d), unlocked(vm, d)); err != nil {
		return err
	}
	if err := cmp.Or(checkLoops(d.Path, d.ReadOnly), checkClaimed(d)); err != nil {
		return fmt.Errorf("disk %s: %w", d.Path, err)
	}
	return nil
}

// checkTwice finds an earlier disk that is the same file or device. A definition with the same path twice is refused,
// but a disk may have several paths.
func checkTwice(vm vms.VM, d vms.Disk) error {
	info, err := os.Stat(d.Path)
	if err != nil {
		return nil //nolint:nilerr // it will be created
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

// DiskError says that a VM cannot be started with a disk of its definition.
type DiskError struct {
	Path string
	Err  error
}

// Error returns the disk.
func (e *DiskError) Error() string { return fmt.Sprintf("disk %s: %v", e.Path, e.Err) }

// Unwrap returns the cause.
func (e *DiskError) Unwrap() error { return e.Err }

func checkDisk(d vms.Disk) error {
	// O_NONBLOCK: a pipe at the path must not block the start.
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

// missing says why a missing disk cannot be created: it would be in /dev, or behind a symbolic link.
func missing(d vms.Disk) error {
	if isDevicePath(d.Path) {
		return ErrDeviceAbsent
	}
	return cmp.Or(dangling(d.Path), ErrDiskMissing)
}

// FormatError says that an image is not a qcow2 image, as its definition says, and which format it has.
type FormatError struct {
	Path   string
	Format string // the name that qemu-img uses
}

// Error returns the format.
func (e *FormatError) Error() string { return fmt.Sprintf("a %s image, %v", e.Format, ErrNotQCOW2) }

// formatOf recognises other image formats by their first bytes (QEMU's block/vmdk.c, vdi.c, vhdx.c and vpc.c).
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

// checkQCOW2 checks an image's header (QEMU's docs/interop/qcow2.txt: magic, version, the backing file's offset at
// byte 8, the size at byte 24, and from version 3 on the incompatible features at byte 72, with "external data file"
// as bit 2).
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

// checkSize compares an existing disk with the size in its definition: only an image that the guest may write to is
// grown.
func checkSize(d vms.Disk) error {
	has, block, err := diskSize(d)
	if err != nil || d.Size <= has {
		return err
	}
	switch {
	case block:
		return fmt.Errorf("size = %q, and it has %v: a device %w", d.Size, has, ErrNotGrown)
	case d.ReadOnly:
		return fmt.Errorf("size = %q, and it has %v: a disk that is read-only %w", d.Size, has, ErrNotGrown)
	}
	return nil
}

// largerDisk warns about a disk that is larger than its definition says: it is never shrunk, since the guest may have
// data at its end.
func largerDisk(d vms.Disk) error {
	if d.Size == 0 {
		return nil
	}
	has, _, err := diskSize(d)
	if err != nil {
		return nil //nolint:nilerr // its own check returns the error
	}
	if has <= d.Size {
		return nil
	}
	return fmt.Errorf("disk %s: size = %q, and it has %v: a disk %w", d.Path, d.Size, has, ErrNotShrunk)
}

// DiskSize returns the size of a disk as its guest sees it; 0 if there is none. It reads only the header of an image.
func DiskSize(d vms.Disk) (vms.Size, error) {
	if err := checkDisk(d); err != nil {
		if errors.Is(err, ErrDiskMissing) {
			err = nil
		}
		return 0, err
	}
	size, _, err := diskSize(d)
	return size, err
}

// diskSize returns the size of an existing disk, and whether it is a block device.
func diskSize(d vms.Disk) (size vms.Size, block bool, err error) {
	f, err := os.OpenFile(d.Path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, false, cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, false, cause(err)
	}
	block = isBlock(info)
	if d.Format == vms.QCOW2 {
		return vms.Size(virtualSize(f)), block, nil
	}
	end, err := f.Seek(0, io.SeekEnd) // works for a device too
	const sector = 512                // QEMU rounds up to whole sectors
	return vms.Size(end+sector-1) &^ (sector - 1), block, err
}

// ErrNoImage says that a guest cannot use a file as a disk.
var ErrNoImage = errors.New("neither a qcow2 image nor a raw one, which has whole sectors of 512 bytes")

// ImageFormat returns the format of an existing image, by its header. It is for writing a definition, when the user
// says that this is an image. A start uses the definition's format, since a guest can write any header to a raw disk.
func ImageFormat(path string) (vms.DiskFormat, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", cause(err)
	}
	if err := checkKind(info); err != nil {
		return "", err
	}
	if err := checkQCOW2(path, f); !errors.Is(err, ErrNotQCOW2) && !errors.Is(err, ErrEmptyImage) {
		return vms.QCOW2, err
	}
	if info.Size()%512 != 0 || info.Size() == 0 && !isBlock(info) {
		return "", ErrNoImage
	}
	return vms.Raw, nil
}

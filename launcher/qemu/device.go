package qemu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// ErrNotWritable says that a guest could not write to a disk that is not read-only.
var ErrNotWritable = errors.New("the guest could not write to it")

// FindDevices returns the paths of a VM's disks that are block devices of the host: LVM volumes, partitions, loop
// devices.
func FindDevices(vm vms.VM) []string {
	var devices []string
	for _, d := range vm.Disks {
		if info, err := os.Stat(d.Path); err == nil && isBlock(info) {
			devices = append(devices, d.Path)
		}
	}
	return devices
}

func isBlock(info fs.FileInfo) bool {
	return info.Mode()&(fs.ModeDevice|fs.ModeCharDevice) == fs.ModeDevice
}

// isSame reports whether two paths lead to the same file, or to nodes of the same device.
func isSame(a, b fs.FileInfo) bool {
	if os.SameFile(a, b) {
		return true
	}
	one, _ := a.Sys().(*syscall.Stat_t)
	two, _ := b.Sys().(*syscall.Stat_t)
	return isBlock(a) && isBlock(b) && one != nil && two != nil && one.Rdev == two.Rdev
}

// isDevicePath reports whether a path is in /dev, where no image is created, except in /dev/shm, which is for files.
func isDevicePath(path string) bool {
	return strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/dev/shm/")
}

// access returns the permissions that this user needs for a disk.
func access(d vms.Disk) string {
	if d.ReadOnly {
		return "r"
	}
	return "rw"
}

// checkWritable says why a guest could not write to a disk that is not read-only: the file belongs to another user, a
// file system or a device is read-only, or the file has an attribute.
func checkWritable(d vms.Disk, f *os.File, info fs.FileInfo) error {
	if d.ReadOnly {
		return nil
	}
	if err := checkAttributes(d.Path, f); err != nil {
		return err
	}
	err := permitted(d.Path, access(d))
	if err == nil && isBlock(info) {
		if readOnly, e := unix.IoctlGetInt(int(f.Fd()), unix.BLKROGET); e == nil && readOnly != 0 {
			err = errors.New("a read-only device")
		}
	}
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*DeniedError](err); ok && (isBlock(info) || e.Own) {
		return e // readonly does not help with a device that is the guest's disk, or a mode that the user can change
	}
	return fmt.Errorf("%w: %w", err, ErrNotWritable)
}

// AttributeError says that a file has an attribute of chattr(1) that prevents writing to it as a disk.
type AttributeError struct {
	Path   string
	Letter string // "i" for immutable, "a" for append only
}

// Error returns the attribute.
func (e *AttributeError) Error() string {
	return fmt.Sprintf("it has the attribute +%s (chattr(1)): %v", e.Letter, ErrNotWritable)
}

// checkAttributes checks what access(2) does not report, or only as "operation not permitted".
func checkAttributes(path string, f *os.File) error {
	var st unix.Statx_t
	if unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, 0, &st) != nil {
		return nil //nolint:nilerr // not all file systems have attributes
	}
	switch {
	case st.Attributes&unix.STATX_ATTR_IMMUTABLE != 0:
		return &AttributeError{path, "i"}
	case st.Attributes&unix.STATX_ATTR_APPEND != 0:
		return &AttributeError{path, "a"}
	}
	return nil
}

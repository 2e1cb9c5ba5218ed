package qemu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// FindDevices gives the paths of a VM's disks that are block devices of the host: LVM volumes, partitions, loop devices.
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

// isDevicePath says whether a path is in the directory of devices, where no image is made. /dev/shm is for files.
func isDevicePath(path string) bool {
	return strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/dev/shm/")
}

// access is what this user must be allowed to do with a disk.
func access(d vms.Disk) string {
	if d.ReadOnly {
		return "r"
	}
	return "rw"
}

// checkWritable says why a guest could not write to a disk that is not read-only: a file of another user's, a file system
// or a device that is read-only.
func checkWritable(d vms.Disk, f *os.File, info fs.FileInfo) error {
	if d.ReadOnly {
		return nil
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
	if e, ok := errors.AsType[*DeniedError](err); ok && isBlock(info) {
		return e // readonly is no cure for a device that is the guest's disk
	}
	return fmt.Errorf("%w: %w", err, ErrNotWritable)
}

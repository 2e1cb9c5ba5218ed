package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// checkSize compares a disk that is there with the size that its definition asks for: only an image that the guest may
// write to is grown.
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

// growDisk makes an image as large as its definition asks for. The caller holds the VM's lock and the VM does not run;
// where another has the image open, qemu-img does not get its lock. An image whose growing is interrupted is as
// large as before or after.
func growDisk(ctx context.Context, d vms.Disk, verbose func([]string)) error {
	has, _, err := diskSize(d)
	if err != nil || d.Size <= has {
		return err
	}
	if err := checkSize(d); err != nil {
		return err
	}
	argv := []string{imageTool, "resize", "-q", "-f", string(d.Format), d.Path, strconv.FormatUint(uint64(d.Size), 10)}
	verbose(argv)
	return runQEMUImg(ctx, "resize", argv)
}

// largerDisk warns of a disk that is larger than its definition says: it is never shrunk, for the guest may have something at its end.
func largerDisk(d vms.Disk) error {
	if d.Size == 0 {
		return nil
	}
	has, _, err := diskSize(d)
	if err != nil {
		return nil //nolint:nilerr // what is wrong with it, its own check says
	}
	if has <= d.Size {
		return nil
	}
	return fmt.Errorf("disk %s: size = %q, and it has %v: a disk %w", d.Path, d.Size, has, ErrNotShrunk)
}

// DiskSize is how large a disk is for its guest; 0 where there is none. An image is not looked at beyond its header.
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

// diskSize is the size of a disk that is there, and whether it is a block device.
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
	end, err := f.Seek(0, io.SeekEnd) // of a device too
	const sector = 512                // QEMU rounds up to whole ones
	return vms.Size(end+sector-1) &^ (sector - 1), block, err
}

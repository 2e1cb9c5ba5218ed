package qemu

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/qlaunch/qlaunch/vms"
)

// MakeDisks creates the missing disks of a VM that have a size, grows the images that are smaller, and checks the
// existing ones: a qcow2 image that refers to another file of the host is refused before any of QEMU's tools opens
// it. For a VM that boots with UEFI it copies the firmware's variables. verbose is called with each command line.
func MakeDisks(ctx context.Context, vm vms.VM, verbose func(argv []string)) error {
	for _, d := range vm.Disks {
		if err := makeDisk(ctx, vm, d, verbose); err != nil {
			return withHolder(vm, fmt.Errorf("disk %s: %w", d.Path, err))
		}
	}
	return makeUEFIVars(vm)
}

// imageTool creates and grows images.
const imageTool = "qemu-img"

// needsQEMUImg reports whether a start has to create or grow a disk.
func needsQEMUImg(d vms.Disk) bool {
	err := checkDisk(d)
	if err != nil {
		return errors.Is(err, ErrDiskMissing) && d.Size > 0
	}
	has, _, err := diskSize(d)
	return err == nil && d.Size > has
}

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

// createDisk creates a missing disk atomically.
func createDisk(ctx context.Context, vm vms.VM, d vms.Disk, verbose func([]string)) error {
	if err := os.MkdirAll(filepath.Dir(d.Path), 0o700); err != nil {
		return err
	}
	part := partName(vm, d)
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // qemu-img does not change its mode
	if err != nil {
		return err
	}
	argv := []string{imageTool, "create", "-q", "-f", string(d.Format), part, strconv.FormatUint(uint64(d.Size), 10)}
	verbose(argv)
	err = cmp.Or(f.Close(), runQEMUImg(ctx, "create", argv))
	if err == nil {
		// Unlike rename, link never replaces a disk that another start created in the meantime.
		err = os.Link(part, d.Path)
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return errors.Join(err, os.Remove(part))
}

// partName returns where a missing disk is created: in the directory of the disk, so that it can be linked. The name
// is derived from the VM's data directory, whose lock the caller holds, so a file with this name was left by a killed
// start of this VM.
func partName(vm vms.VM, d vms.Disk) string {
	sum := sha256.Sum256([]byte(vm.DataDir + "\x00" + d.Path))
	return filepath.Join(filepath.Dir(d.Path), fmt.Sprintf(".qlaunch-%x.part", sum[:8]))
}

// removePart removes what a killed start has left of a disk. On a read-only file system removing fails even if there
// is no such file.
func removePart(vm vms.VM, d vms.Disk) error {
	part := partName(vm, d)
	if _, err := os.Lstat(part); err != nil {
		return nil //nolint:nilerr // it cannot exist
	}
	return os.Remove(part)
}

// growDisk grows an image to the size in its definition. The caller holds the VM's lock and the VM does not run; if
// another process has the image open, qemu-img does not get its lock. If growing is interrupted, the image has the
// old or the new size.
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

// runQEMUImg runs qemu-img for an operation on a disk. It joins several lines of its messages to one.
func runQEMUImg(ctx context.Context, doing string, argv []string) error {
	said, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	words := strings.ReplaceAll(strings.TrimSpace(string(said)), "\n", "; ")
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil: // ctx ended it, so its messages do not matter
		return context.Cause(ctx)
	case lacksLock(words):
		return fmt.Errorf("%s: %w: %w: %s", doing, err, ErrDiskInUse, words)
	}
	return fmt.Errorf("%s: %w: %s", doing, err, words)
}

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

package qemu

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// checkDirs says what keeps a start from making the VM's directories, or from writing into those that are there. It makes
// none, so that a VM can be looked at before it has any.
func checkDirs(vm vms.VM) error {
	for _, dir := range []string{filepath.Dir(vm.RunDir), vm.RunDir} {
		if err := checkDir(dir); err != nil {
			return ofRunDir(err)
		}
	}
	for _, dir := range []string{vm.StateDir, vm.DataDir} {
		if err := checkDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func checkDir(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		if err := checkPrivate(dir); err != nil {
			return err
		}
	}
	return madeIn(dir)
}

// madeIn asks whether this user may write into a directory, or make it with those above it.
func madeIn(dir string) error {
	at := existing(dir)
	info, err := os.Stat(at)
	switch {
	case err == nil && !info.IsDir():
		err = unix.ENOTDIR
	case err == nil:
		err = permitted(at, "w")
	}
	for up := dir; err == nil && up != at; up = filepath.Dir(up) {
		if err = dangling(up); err != nil {
			err = fmt.Errorf("%s: %w", up, err)
		}
	}
	if err != nil {
		return fmt.Errorf("write into %s: %w", dir, cause(err))
	}
	return nil
}

// DanglingError says that a path is a symbolic link that leads nowhere: to a file system that is not mounted, perhaps.
type DanglingError struct{ Path, Target string }

// Error names where it leads, which may be relative to the link.
func (e *DanglingError) Error() string {
	return fmt.Sprintf("a symbolic link to %s, which does not exist", e.Target)
}

// dangling gives a *DanglingError for a path at which nothing can be opened, and which is a link all the same.
func dangling(path string) error {
	target, err := os.Readlink(path)
	if err != nil {
		return nil //nolint:nilerr // no link
	}
	return &DanglingError{path, target}
}

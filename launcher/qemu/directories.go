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
	if err != nil {
		return fmt.Errorf("write into %s: %w", dir, cause(err))
	}
	return nil
}

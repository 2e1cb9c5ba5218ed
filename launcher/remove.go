package launcher

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/qlaunch/qlaunch/vms"
)

// ErrRunning means that what was asked for needs a VM that does not run.
var ErrRunning = errors.New("it is running")

// Sweep removes what a QEMU that has ended leaves in its run directory. The
// caller holds the VM's lock; a VM that runs is left as it is.
func Sweep(vm vms.VM) error {
	if IsRunning(vm) {
		return nil
	}
	var errs []error
	for _, name := range []string{pidName, vms.StartedFile, qmpName, consoleName} {
		if err := os.Remove(filepath.Join(vm.RunDir, name)); err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Remove removes what qlaunch made for a VM: its run and state directories, and
// of its data directory the disks that lie there and all else. Disks elsewhere
// are the user's and stay. The caller holds the VM's lock. The error wraps
// ErrRunning, or is an *OrphanError.
func Remove(vm vms.VM) error {
	if IsRunning(vm) {
		return ErrRunning
	}
	if err := NoOrphan(vm); err != nil {
		return err
	}
	var errs []error
	for _, dir := range []string{vm.StateDir, vm.DataDir, vm.RunDir} {
		if err := os.RemoveAll(dir); err != nil {
			errs = append(errs, fmt.Errorf("remove: %w", err))
		}
	}
	return errors.Join(errs...)
}

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
	for _, name := range []string{pidName, vms.StartedFile, qmpName, consoleName, agentName, displayName, answerName} {
		if err := os.Remove(filepath.Join(vm.RunDir, name)); err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Remove removes what qlaunch made for a VM: its state directory, its data
// directory with the disks that lie there and all else, and what is in its run
// directory but for the lock, which the caller holds, and retires when the
// definition is gone too. Disks elsewhere are the user's and stay. The
// error wraps ErrRunning, or is an *OrphanError.
func Remove(vm vms.VM) error {
	if IsRunning(vm) {
		return ErrRunning
	}
	if err := NoOrphan(vm); err != nil {
		return err
	}
	var errs []error
	doomed := []string{vm.StateDir, vm.DataDir}
	entries, err := os.ReadDir(vm.RunDir)
	if err != nil {
		errs = append(errs, err)
	}
	for _, entry := range entries {
		if entry.Name() != lockName {
			doomed = append(doomed, filepath.Join(vm.RunDir, entry.Name()))
		}
	}
	for _, path := range doomed {
		if err := os.RemoveAll(path); err != nil {
			errs = append(errs, fmt.Errorf("remove: %w", err))
		}
	}
	return errors.Join(errs...)
}

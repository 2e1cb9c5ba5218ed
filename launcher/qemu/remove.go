package qemu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/qlaunch/qlaunch/vms"
)

// ErrRunning means that what was asked for needs a VM that does not run.
var ErrRunning = errors.New("it is running")

// NoQEMU finds the QEMU of a VM, wherever its run directory is, among those that there are (QEMUs): the error wraps
// ErrRunning, or is an *OrphanError. Without one it is nil.
func NoQEMU(vm vms.VM, all []QEMU) error {
	vm, err := Locate(vm, func() ([]QEMU, error) { return all, nil })
	if err != nil {
		return err
	}
	p, err := Find(vm)
	if err == nil {
		p.Close()
		return fmt.Errorf("%w: QEMU, pid %d", ErrRunning, p.PID)
	}
	if !errors.Is(err, ErrNotRunning) {
		return err
	}
	if lost := Orphans(slices.DeleteFunc(slices.Clone(all), func(q QEMU) bool { return !q.IsOf(vm) })); len(lost) > 0 {
		return &OrphanError{lost[0]}
	}
	if IsRunning(vm) {
		return ErrRunning
	}
	return nil
}

// Sweep removes what a QEMU that has ended leaves in its run directory, and the file of its lock. The
// caller holds the VM's lock; a VM that runs is left as it is.
func Sweep(vm vms.VM) error {
	if IsRunning(vm) {
		return nil
	}
	var errs []error
	left := []string{runningFile(vm)}
	for _, name := range []string{pidName, vms.StartedFile, qmpName, consoleName, agentName, displayName, answerName} {
		left = append(left, filepath.Join(vm.RunDir, name))
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Remove removes what qlaunch made for a VM: its state directory, its run directory, and
// its data directory with the disks that lie there and all else, but for the lock, which
// the caller holds, and retires when the definition is gone too. Disks elsewhere are the user's and stay.
// Nothing is removed while the VM has a QEMU, or any process has one of the files open that would be lost: the
// error wraps ErrRunning, or is an *OrphanError or an *OpenError.
func Remove(vm vms.VM) error {
	all, err := QEMUs()
	if err != nil {
		return err
	}
	if err := NoQEMU(vm, all); err != nil {
		return err
	}
	if err := notOpen(vm); err != nil {
		return err
	}
	var errs []error
	doomed := []string{vm.StateDir, vm.RunDir}
	entries, err := os.ReadDir(vm.DataDir)
	if err != nil {
		errs = append(errs, err)
	}
	for _, entry := range entries {
		if entry.Name() != lockName {
			doomed = append(doomed, filepath.Join(vm.DataDir, entry.Name()))
		}
	}
	for _, path := range doomed {
		if err := os.RemoveAll(path); err != nil {
			errs = append(errs, fmt.Errorf("remove: %w", err))
		}
	}
	for _, d := range vm.Disks {
		errs = append(errs, removePart(vm, d))
	}
	return errors.Join(errs...)
}

// IsKept tells whether a name in a VM's data directory is that of a file which qlaunch makes for itself, and makes again.
func IsKept(name string) bool { return name == lockName || name == runningName }

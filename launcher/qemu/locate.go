package qemu

import (
	"errors"
	"path/filepath"

	"github.com/qlaunch/qlaunch/vms"
)

// Locate gives a VM with the run directory of its QEMU, wherever the environment
// of this process would put one: what the lock in its data directory says, or else what
// the command line of its QEMU says, among those that qemus gives (QEMUs), which is asked only when no
// lock is held. A VM that does not run keeps its run directory.
//
// The run directory has been checked: what lies in it may be believed. The error is a *NotPrivateError where it may not.
func Locate(vm vms.VM, qemus func() ([]QEMU, error)) (vms.VM, error) {
	dir, held, err := readRunning(vm)
	if err != nil {
		return vm, err
	}
	if dir != "" {
		vm.RunDir = dir
	}
	if held || CheckRunDir(vm.RunDir) == nil && pidFileLocked(vm) {
		return vm, CheckRunDir(vm.RunDir)
	}
	all, err := qemus()
	if err != nil {
		return vm, err
	}
	for _, q := range all {
		if q.IsOf(vm) {
			vm.RunDir = q.RunDir
			break
		}
	}
	return vm, CheckRunDir(vm.RunDir)
}

// findAnywhere is Find for a VM whose QEMU may have another run directory than the environment of this process gives it.
func findAnywhere(vm vms.VM) (*Process, error) {
	at, err := Locate(vm, func() ([]QEMU, error) { return nil, nil })
	if err != nil {
		return nil, err
	}
	return Find(at)
}

// CheckRunDir refuses a run directory that is not, or does not lie in, a directory that is the user's alone: whoever
// made it could have put there what this user's commands believe, or connect to. The error is a *NotPrivateError. What is not there is no danger.
func CheckRunDir(dir string) error {
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := checkPrivate(d); err != nil && !errors.Is(err, errRemoved) {
			return ofRunDir(err)
		}
	}
	return nil
}

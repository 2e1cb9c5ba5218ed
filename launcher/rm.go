package launcher

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
	"github.com/qlaunch/qlaunch/vms"
)

// RemoveRequest is a request to remove a VM.
type RemoveRequest struct {
	Name string
	// Confirm is called with the files that cannot be recreated, mostly disks, unless there are none. If it returns
	// an error, nothing is removed. nil: no confirmation is needed.
	Confirm func(files []string) error
}

// removeDeadline is how long Remove waits for another command that holds the VM's lock.
const removeDeadline = 10 * time.Second

// Remove removes a VM: its definition, its drafts, and its own directories with all files in them. Disks elsewhere
// are kept. If the VM runs, the error is a [*RunsError].
func Remove(ctx context.Context, e *Env, r RemoveRequest) error {
	vm, err := removable(e, r.Name)
	if err == nil {
		vm, err = qemu.Locate(vm, e.QEMUs)
	}
	if err != nil {
		return err
	}
	if r.Confirm != nil {
		if err := confirm(r, vm); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, removeDeadline)
	defer cancel()
	lock, err := qemu.MakeAndAcquire(ctx, vm, qemu.CommandRemove)
	if err != nil {
		return orInterrupted(err)
	}
	if err := removeLocked(e, r.Name, vm); err != nil {
		return errors.Join(err, lock.Release())
	}
	return lock.ReleaseAndRemove()
}

func confirm(r RemoveRequest, vm vms.VM) error {
	files, err := irreplaceable(vm)
	if err != nil || len(files) == 0 {
		return err
	}
	return r.Confirm(files)
}

// removeLocked removes everything but the lock, which the caller holds. It removes the definition last, so that an
// interrupted removal can be repeated.
func removeLocked(e *Env, name string, vm vms.VM) error {
	if _, err := removable(e, name); err != nil {
		return err // another removal held the lock before
	}
	err := qemu.Remove(vm)
	if errors.Is(err, qemu.ErrRunning) {
		return &RunsError{vm.Name, err}
	}
	if err != nil {
		return err
	}
	if err := systemd.Forget(unitDir(e), vm.Name); err != nil {
		return err
	}
	if err := removeDrafts(vm.Name, vm.File); err != nil {
		return err
	}
	return os.Remove(vm.File)
}

// removable returns what a removal needs of a VM: it works for definitions that cannot be used, too.
func removable(e *Env, name string) (vms.VM, error) {
	if err := vms.CheckName(name); err != nil {
		return vms.VM{}, &DefinitionError{err}
	}
	vm, err := Load(e, name)
	if isA[vms.Errors](err) {
		return bareVM(e, name), nil
	}
	return vm, err
}

// irreplaceable returns the files that cannot be recreated: everything in a VM's data directory, whether the
// definition names it or not, except the files that qlaunch writes there itself.
func irreplaceable(vm vms.VM) ([]string, error) {
	entries, err := os.ReadDir(vm.DataDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		name := entry.Name()
		ours := name == "known_hosts" || name == "uefi-vars.fd" || strings.HasPrefix(name, sshEntryFile)
		if !ours && !qemu.IsKept(name) {
			files = append(files, filepath.Join(vm.DataDir, name))
		}
	}
	return files, nil
}

// RunsError says that a VM has to be shut down first.
type RunsError struct {
	Name string
	Err  error // qemu.ErrRunning
}

func (e *RunsError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *RunsError) Unwrap() error { return e.Err }

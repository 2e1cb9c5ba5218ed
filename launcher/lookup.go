package launcher

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// A VM is looked up in one of three states: as it is defined (Load), as it runs (findRunning), or as it runs if it
// runs and else as it is defined (current). A start makes a qemu.Resolved from the definition, and from that a guest,
// which runs. A path means one definition: if a VM of that name runs from another one, the error is an
// [*OtherFileError].

// Load reads the definition of a VM. ref is the VM's name, or the path of a definition. The error is a [*NoVMError],
// a [*DefinitionError], or a vms.Errors with the place of each mistake.
func Load(e *Env, ref string) (vms.VM, error) {
	vm, err := e.Store.Load(ref)
	if err == nil {
		return vm, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		_, file, _ := e.Store.Locate(ref)
		return vms.VM{}, &NoVMError{ref, file}
	}
	if isA[vms.Errors](err) {
		return vms.VM{}, err
	}
	return vms.VM{}, &DefinitionError{err}
}

// current returns a VM as it was started if it runs, and as it is defined otherwise: a definition that was changed or
// removed says nothing about a QEMU that was started before. Of an orphan without a definition only the name is
// known.
//
// It trims the VM's logs, as every look at a VM does: see trim.go.
func current(e *Env, ref string) (vms.VM, error) {
	vm, err := started(e, ref)
	if err == nil {
		_ = qemu.TrimLogs(vm) // a failure to trim the logs does not prevent managing the VM
	}
	return vm, err
}

func started(e *Env, ref string) (vms.VM, error) {
	at, err := locate(e, ref)
	if err != nil {
		return vms.VM{}, err
	}
	vm, err := e.Store.Started(at.Name, at.RunDir)
	if err == nil && qemu.IsRunning(vm) {
		if at.File == e.Store.Path(at.Name) { // a name means the running VM of that name
			return vm, nil
		}
		return vm, checkOrigin(at)
	}
	vm, err = Load(e, ref)
	if err != nil && isA[*qemu.OrphanError](qemu.NoOrphan(at)) {
		return at, nil
	}
	vm.RunDir = at.RunDir
	return vm, err
}

// running is a running VM: the definition that its QEMU was started with, and that QEMU.
type running struct {
	vm      vms.VM
	process *qemu.Process // to be closed
}

// findRunning returns a running VM. The error is qemu.ErrNotRunning, or a *qemu.OrphanError if QEMU cannot be
// reached.
func findRunning(e *Env, ref string) (running, error) {
	vm, err := current(e, ref)
	if err != nil {
		return running{}, err
	}
	process, err := findProcess(vm)
	return running{vm, process}, err
}

// findProcess returns the QEMU of a VM. It distinguishes an orphan, which only down can reach, from a VM that does
// not run.
func findProcess(vm vms.VM) (*qemu.Process, error) {
	process, err := qemu.Find(vm)
	if errors.Is(err, qemu.ErrNotRunning) {
		err = cmp.Or(qemu.NoOrphan(vm), err)
	}
	return process, err
}

// locate returns the name and the directories of a VM: those of its QEMU if it runs, whatever the environment of this
// process. It does not read the definition.
func locate(e *Env, ref string) (vms.VM, error) {
	name, file, err := e.Store.Locate(ref)
	if err != nil {
		return vms.VM{}, &DefinitionError{err}
	}
	vm := bareVM(e, name)
	vm.File = file
	return qemu.Locate(vm, e.QEMUs)
}

// origin returns the file from which a VM was started, if it is not the one that the name ref means, and else ref.
func origin(e *Env, ref string) string {
	at, err := locate(e, ref)
	if err != nil || at.File != e.Store.Path(at.Name) || !qemu.IsRunning(at) {
		return ref
	}
	if from := vms.Origin(at.RunDir); from != "" && from != at.File {
		return from
	}
	return ref
}

// checkOrigin returns an *OtherFileError if the VM's QEMU was started from another definition, which still exists.
func checkOrigin(vm vms.VM) error {
	from := vms.Origin(vm.RunDir)
	there, err := os.Stat(from)
	if from == "" || from == vm.File || err != nil {
		return nil //nolint:nilerr // the definition was moved, perhaps to this path
	}
	if here, err := os.Stat(vm.File); err == nil && os.SameFile(here, there) {
		return nil
	}
	return &OtherFileError{vm.Name, from}
}

// OtherFileError says that a VM of the same name runs from another definition.
type OtherFileError struct {
	Name string
	File string // the definition that it was started from
}

func (e *OtherFileError) Error() string { return fmt.Sprintf("a VM of that name runs from %s", e.File) }

// bareVM returns a VM of which only the name and the directories are known.
func bareVM(e *Env, name string) vms.VM {
	env := e.Store.Env(name, e.Store.Path(name))
	return vms.VM{Name: name, File: env.File, DataDir: env.DataDir, StateDir: env.StateDir, RunDir: env.RunDir}
}

// bridged returns the NICs that can have an address.
func bridged(vm vms.VM) []vms.NIC {
	var nics []vms.NIC
	for _, nic := range vm.NICs {
		if nic.Type == vms.NICBridge {
			nics = append(nics, nic)
		}
	}
	return nics
}

// NoVMError says that a VM has no definition.
type NoVMError struct {
	Ref  string // the VM's name or path, as given
	File string // the path of the missing definition
}

func (e *NoVMError) Error() string { return fmt.Sprintf("no VM %q: %s does not exist", e.Ref, e.File) }

// DefinitionError says that a name is invalid, or that a file is not a definition.
type DefinitionError struct{ Err error }

func (e *DefinitionError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *DefinitionError) Unwrap() error { return e.Err }

package qemu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// What can be wrong with /dev/kvm.
var (
	ErrNoKVM     = errors.New("the kvm module is not loaded, or the CPU's virtualization is switched off in the firmware")
	ErrKVMDenied = errors.New("this user may not open it")
)

// ErrArchCapabilities says that KVM refused the register of the CPU feature arch-capabilities, as a nested KVM may,
// so that QEMU ended at its start.
var ErrArchCapabilities = errors.New("KVM refuses the CPU feature arch-capabilities")

// lacksArchCapabilities recognises QEMU's message about that (kvm_buf_set_msrs in its target/i386/kvm/kvm.c): 0x10a
// is IA32_ARCH_CAPABILITIES.
func lacksArchCapabilities(words string) bool {
	return strings.Contains(words, "failed to set MSR 0x10a ")
}

// KVMError says why KVM cannot be used.
type KVMError struct {
	Device string // the device's path
	Group  string // the group that may open it, for ErrKVMDenied; "" if there is none
	Err    error  // wraps ErrNoKVM or ErrKVMDenied, or is the kernel's error
}

// Error returns the device, the kernel's error, and the group if it matters.
func (e *KVMError) Error() string {
	if e.Group != "" {
		return fmt.Sprintf("%s: %v, only group %q may", e.Device, e.Err, e.Group)
	}
	return fmt.Sprintf("%s: %v", e.Device, e.Err)
}

// Unwrap returns the cause.
func (e *KVMError) Unwrap() error { return e.Err }

const kvmDevice = "/dev/kvm"

// CheckKVM opens /dev/kvm as QEMU would, and returns a *KVMError if that fails.
func CheckKVM() error { return checkKVM(kvmDevice) }

func checkKVM(device string) error {
	f, err := os.OpenFile(device, os.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return &KVMError{Device: device, Err: fmt.Errorf("%w: %w", cause(err), ErrNoKVM)}
	case errors.Is(err, fs.ErrPermission):
		return &KVMError{Device: device, Group: openingGroup(device), Err: fmt.Errorf("%w: %w", cause(err), ErrKVMDenied)}
	default:
		return &KVMError{Device: device, Err: cause(err)}
	}
}

// ResolveAccel resolves a VM's accelerator. If kvm is required but not available, the third result is a *KVMError.
// auto becomes kvm, or tcg if the second result, for a notice to the user, says why kvm is not available.
func ResolveAccel(vm vms.VM) (vms.VM, error, error) {
	if vm.Accel == vms.TCG {
		return vm, nil, nil
	}
	why := CheckKVM()
	switch {
	case why == nil:
		vm.Accel = vms.KVM
		return vm, nil, nil
	case vm.Accel == vms.AccelAuto:
		vm.Accel = vms.TCG
		return vm, why, nil
	default:
		return vm, nil, why
	}
}

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

// ErrArchCapabilities says that KVM refused the register of the CPU feature
// arch-capabilities, as a nested KVM may, and that QEMU therefore ended at its start.
var ErrArchCapabilities = errors.New("KVM refuses the CPU feature arch-capabilities")

// lacksArchCapabilities recognises what QEMU says then (kvm_buf_set_msrs in its
// target/i386/kvm/kvm.c): 0x10a is IA32_ARCH_CAPABILITIES.
func lacksArchCapabilities(words string) bool {
	return strings.Contains(words, "failed to set MSR 0x10a ")
}

// KVMError says why KVM cannot be used.
type KVMError struct {
	Device string // the device's path
	Group  string // the group that may open it, for ErrKVMDenied; "" when no group may
	Err    error  // wraps ErrNoKVM, ErrKVMDenied, or is the kernel's own answer
}

// Error names the device, the kernel's answer, and the group where it is one that matters.
func (e *KVMError) Error() string {
	if e.Group != "" {
		return fmt.Sprintf("%s: %v, only group %q may", e.Device, e.Err, e.Group)
	}
	return fmt.Sprintf("%s: %v", e.Device, e.Err)
}

// Unwrap gives the cause.
func (e *KVMError) Unwrap() error { return e.Err }

const kvmDevice = "/dev/kvm"

// CheckKVM opens /dev/kvm as QEMU will, and returns a *KVMError when that fails.
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

// ResolveAccel settles a VM's accelerator: kvm must be usable, or the error is
// a *KVMError; auto becomes kvm or tcg, and for tcg the second result says why,
// for a notice to the user.
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

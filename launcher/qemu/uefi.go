package qemu

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/qlaunch/qlaunch/vms"
)

// ErrNoUEFI means that no UEFI firmware for the VM's architecture is installed.
var ErrNoUEFI = errors.New("no UEFI firmware is installed")

// uefiImages returns the firmware files that distributions ship for an architecture: Debian and Ubuntu (ovmf,
// qemu-efi-aarch64), Fedora (edk2), Arch, and QEMU's own.
func uefiImages(arch string) []UEFIFiles {
	switch arch {
	case "x86_64":
		return []UEFIFiles{
			{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
			{"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
			{"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
			{"/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},
			{"/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"},
		}
	case "aarch64":
		return []UEFIFiles{
			{"/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"},
			{"/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw", "/usr/share/edk2/aarch64/vars-template-pflash.raw"},
			{"/usr/share/qemu/edk2-aarch64-code.fd", "/usr/share/qemu/edk2-arm-vars.fd"},
		}
	default:
		return nil
	}
}

// FindUEFI returns the firmware for a VM: the installed code, and the path of the VM's own variables, which may not
// exist yet. It returns the zero value for a VM that boots with a BIOS. The error wraps ErrNoUEFI.
func FindUEFI(vm vms.VM) (UEFIFiles, error) {
	image, err := installedUEFI(vm)
	if err != nil || image.Code == "" {
		return UEFIFiles{}, err
	}
	return UEFIFiles{Code: image.Code, Vars: uefiVars(vm)}, nil
}

func installedUEFI(vm vms.VM) (UEFIFiles, error) {
	if vm.Firmware != vms.UEFI {
		return UEFIFiles{}, nil
	}
	for _, image := range uefiImages(vm.Arch) {
		if readable(image.Code) && readable(image.Vars) {
			return image, nil
		}
	}
	return UEFIFiles{}, fmt.Errorf("firmware = \"uefi\": %w for %s", ErrNoUEFI, vm.Arch)
}

// checkUEFIVars says why QEMU could not use the VM's own copy of the variables, if it exists.
func checkUEFIVars(vm vms.VM) error {
	own := uefiVars(vm)
	err := checkReadable(own)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err = cmp.Or(err, permitted(own, "rw")); err != nil {
		return fmt.Errorf("UEFI variables %s: %w: %w", own, ErrFile, err)
	}
	return nil
}

func uefiVars(vm vms.VM) string { return filepath.Join(vm.DataDir, "uefi-vars.fd") }

func readable(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// makeUEFIVars creates the VM's copy of the firmware's variables, once.
func makeUEFIVars(vm vms.VM) error {
	image, err := installedUEFI(vm)
	if err != nil || image.Code == "" {
		return err
	}
	own := uefiVars(vm)
	if _, err := os.Lstat(own); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	from, err := os.Open(image.Vars)
	if err != nil {
		return err
	}
	defer from.Close()
	return writeFile(own, func(w io.Writer) error {
		_, err := io.Copy(w, from)
		return err
	})
}

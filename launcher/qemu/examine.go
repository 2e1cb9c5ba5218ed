package qemu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// A Finding is what one check of what a VM needs has found.
type Finding struct {
	ID       string // stable, for scripts: "qemu", "kvm", "disk0" …
	Evidence string // what was seen, for a person
	Skipped  bool   // there was nothing to look at; the evidence says why
	Err      error  // why the VM cannot be started
	Warning  error  // what its user may want to know
}

// What a VM runs without, not as well.
var (
	ErrNoVhost      = errors.New("QEMU itself moves the network's packets, which is slower")
	ErrVhostDenied  = errors.New("this user may not open it: QEMU itself moves the network's packets, which is slower")
	ErrSpace        = errors.New("less free space than the disks may still need")
	ErrNoLinger     = errors.New("a logout ends the VMs that systemd runs")
	ErrNoAccelerate = errors.New("runs under tcg, which is slow")
)

// Examine looks at all that a VM needs of its own and of this user, but for its network: the checks of [Check], each
// with what it found, and those that a start does not wait for. root is where the host's files are, "/". verbose is told
// each command that is run.
func Examine(ctx context.Context, vm vms.VM, root string, verbose func(argv []string)) []Finding {
	findings := []Finding{examineAccel(vm)}
	for _, c := range checks(vm) {
		f := Finding{ID: c.id, Evidence: c.evidence, Err: c.look()}
		if c.warn != nil {
			f.Warning = c.warn()
		}
		if err := cmp.Or(f.Err, f.Warning); err != nil {
			f.Evidence = err.Error()
		}
		findings = append(findings, f)
		if c.id == "qemu" {
			findings = append(findings, examineVersion(ctx, vm.QEMU.Binary, f.Err, verbose))
		}
	}
	return append(findings, examineMemory(vm, root), examineSpace(vm), examineVhost(vm, root), examineLinger(vm.RunDir, root, os.Getuid()))
}

// A check looks at one thing that a start depends on.
type check struct {
	id       string
	evidence string // when all is well
	look     func() error
	warn     func() error // of what a start goes on with; may be nil
}

// Warnings are what a user may want to know before a start that goes on all the same: memory that the host may not have,
// and disks that are larger than their definition says. root is where the host's files are, "/".
func Warnings(vm vms.VM, root string) []error {
	var warnings []error
	for _, d := range vm.Disks {
		warnings = append(warnings, largerDisk(d))
	}
	warnings = append(warnings, examineMemory(vm, root).Warning)
	return slices.DeleteFunc(warnings, func(err error) bool { return err == nil })
}

// checks is the one list of what a start depends on, in the order in which a start tells of it.
func checks(vm vms.VM) []check {
	list := []check{{"qemu", installed(vm.QEMU.Binary), func() error { return checkProgram(vm.QEMU.Binary) }, nil}}
	list = append(list, check{"directories", vm.DataDir + ", its state and its run directory can be written", func() error { return checkDirs(vm) }, nil})
	for _, file := range []struct{ id, what, path string }{{"kernel", "kernel image", vm.Kernel.Image}, {"initrd", "initrd", vm.Kernel.Initrd}} {
		if file.path == "" {
			continue
		}
		list = append(list, check{file.id, file.path, func() error {
			err := checkReadable(file.path)
			if err == nil && file.id == "kernel" {
				err = checkCompression(vm.Arch, file.path)
			}
			if err != nil {
				return fmt.Errorf("%s %s: %w: %w", file.what, file.path, ErrFile, err)
			}
			return nil
		}, nil})
	}
	if vm.Firmware == vms.UEFI {
		image, err := installedUEFI(vm)
		list = append(list, check{"uefi", image.Code, func() error { return cmp.Or(err, checkUEFIVars(vm)) }, nil})
	}
	if slices.ContainsFunc(vm.Disks, needsQEMUImg) {
		list = append(list, check{"qemu-img", installed(imageTool), func() error { return checkProgram(imageTool) }, nil})
	}
	for i, d := range vm.Disks {
		list = append(list, check{fmt.Sprintf("disk%d", i), diskEvidence(d),
			func() error { return checkHeld(vm, d) }, func() error { return largerDisk(d) }})
	}
	return list
}

// diskEvidence is what a disk that can be used is.
func diskEvidence(d vms.Disk) string {
	if d.Size > 0 && errors.Is(checkDisk(d), ErrDiskMissing) {
		return fmt.Sprintf("%s is not there: a start makes it, with %v", d.Path, d.Size)
	}
	return d.Path
}

// installed is where a program is found, or its name.
func installed(program string) string {
	path, err := exec.LookPath(program)
	if err != nil {
		return program
	}
	return path
}

func examineAccel(vm vms.VM) Finding {
	f := Finding{ID: "kvm"}
	_, slow, err := ResolveAccel(vm)
	switch {
	case vm.Accel == vms.TCG:
		f.Skipped, f.Evidence = true, `accel = "tcg"`
	case err != nil:
		f.Err, f.Evidence = err, err.Error()
	case slow != nil:
		f.Warning = fmt.Errorf("%w: %w", ErrNoAccelerate, slow)
		f.Evidence = f.Warning.Error()
	default:
		f.Evidence = kvmDevice + " opens" + kvmModule()
	}
	return f
}

// kvmModule names the module behind the device, unless it is built into the kernel.
func kvmModule() string {
	for _, module := range []string{"kvm_intel", "kvm_amd"} {
		if _, err := os.Stat("/sys/module/" + module); err == nil {
			return ", module " + module
		}
	}
	return ""
}

func examineVersion(ctx context.Context, binary string, missing error, verbose func([]string)) Finding {
	f := Finding{ID: "qemu-version"}
	if missing != nil {
		f.Skipped, f.Evidence = true, "no QEMU"
		return f
	}
	verbose([]string{binary, "--version"})
	line, major, minor, err := askVersion(ctx, binary)
	switch {
	case err != nil:
		f.Err = err
	case major == 0:
		f.Warning = fmt.Errorf("%s --version: %q: no release that is known", binary, line)
	default:
		f.Err = checkRelease(binary, major, minor)
	}
	f.Evidence = line
	if err := cmp.Or(f.Err, f.Warning); err != nil {
		f.Evidence = err.Error()
	}
	return f
}

// VhostError says why vhost-net cannot be used.
type VhostError struct {
	Device string
	Group  string // the group that may open it, for ErrVhostDenied; "" when no group may
	Err    error  // wraps ErrNoVhost or ErrVhostDenied
}

// Error names the device and what follows.
func (e *VhostError) Error() string { return fmt.Sprintf("%s: %v", e.Device, e.Err) }

// Unwrap gives the cause.
func (e *VhostError) Unwrap() error { return e.Err }

// examineVhost opens the device as a start does, for VMs that have a use for it.
func examineVhost(vm vms.VM, root string) Finding {
	const device = "/dev/vhost-net"
	f := Finding{ID: "vhost-net", Evidence: device + " opens"}
	if !hasBridge(vm) {
		f.Skipped, f.Evidence = true, "no bridged NIC"
		return f
	}
	file, err := os.OpenFile(filepath.Join(root, device), os.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	switch {
	case err == nil:
		err = file.Close()
	case errors.Is(err, os.ErrPermission):
		err = &VhostError{Device: device, Group: openingGroup(filepath.Join(root, device)), Err: fmt.Errorf("%w: %w", cause(err), ErrVhostDenied)}
	default:
		err = &VhostError{Device: device, Err: fmt.Errorf("%w: %w", cause(err), ErrNoVhost)}
	}
	if f.Warning = err; err != nil {
		f.Evidence = err.Error()
	}
	return f
}

func hasBridge(vm vms.VM) bool {
	for _, nic := range vm.NICs {
		if nic.Type == vms.NICBridge {
			return true
		}
	}
	return false
}

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
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// Finding is the result of one check of what a VM needs.
type Finding struct {
	ID       string // stable, for scripts: "qemu", "kvm", "disk0" …
	Evidence string // what was found, for a person
	Skipped  bool   // there was nothing to check; the evidence says why
	Err      error  // why the VM cannot be started
	Warning  error  // what the user may want to know
}

// What a VM runs without, not as well.
var (
	ErrNoVhost      = errors.New("QEMU itself moves the network's packets, which is slower")
	ErrVhostDenied  = errors.New("this user may not open it: QEMU itself moves the network's packets, which is slower")
	ErrNoLinger     = errors.New("a logout ends the VMs that systemd runs")
	ErrNoAccelerate = errors.New("runs under tcg, which is slow")
)

// Examine checks everything that a VM needs except its network: the checks of [Check], each with its evidence, and
// those that a start does not wait for. root is the root of the host's files, "/". verbose is called with each
// command line.
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

// check is a check of one thing that a start depends on.
type check struct {
	id       string
	evidence string // if there is no error
	look     func() error
	warn     func() error // returns a warning that does not stop the start; may be nil
}

// Check checks a VM's own files before a start creates anything. The error is a *NoQEMUError if QEMU is not
// installed, one of ErrFile and the disks' errors if a program, kernel, initrd or disk cannot be used, and ErrNoUEFI
// if there is no UEFI firmware.
func Check(vm vms.VM) error {
	for _, c := range checks(vm) {
		if err := c.look(); err != nil {
			return err
		}
	}
	return nil
}

// Warnings returns what a user may want to know about a start that continues anyway: memory that the host may not
// have, and disks that are larger than their definition says. root is the root of the host's files, "/".
func Warnings(vm vms.VM, root string) []error {
	var warnings []error
	for _, d := range vm.Disks {
		warnings = append(warnings, largerDisk(d))
	}
	warnings = append(warnings, examineMemory(vm, root).Warning)
	return slices.DeleteFunc(warnings, func(err error) bool { return err == nil })
}

// checks returns everything that a start depends on, in the order in which a start reports it.
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

// NoQEMUError says that the QEMU of a VM, or the tool for its disks, is not installed.
type NoQEMUError struct{ Binary string }

// Error returns the program.
func (e *NoQEMUError) Error() string { return e.Binary + ": not installed" }

func checkProgram(program string) error {
	_, err := exec.LookPath(program)
	why, _ := errors.AsType[*exec.Error](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return &NoQEMUError{program}
	case why != nil:
		return fmt.Errorf("%s: %w: %w", program, ErrFile, cause(why.Err))
	}
	return fmt.Errorf("%s: %w: %w", program, ErrFile, err)
}

// diskEvidence describes a disk that can be used.
func diskEvidence(d vms.Disk) string {
	if d.Size > 0 && errors.Is(checkDisk(d), ErrDiskMissing) {
		return fmt.Sprintf("%s is not there: a start makes it, with %v", d.Path, d.Size)
	}
	return d.Path
}

// installed returns the path of a program, or its name if it is not found.
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

// kvmModule returns the kernel module of the device, unless it is built into the kernel.
func kvmModule() string {
	for _, module := range []string{"kvm_intel", "kvm_amd"} {
		if _, err := os.Stat("/sys/module/" + module); err == nil {
			return ", module " + module
		}
	}
	return ""
}

// examineMemory compares a VM's memory with what the host, and the control group in which QEMU would start, has
// available. The result is an estimate, hence a warning: the guest allocates its memory as it uses it, and others may
// free some.
func examineMemory(vm vms.VM, root string) Finding {
	f := Finding{ID: "memory"}
	if p, err := findAnywhere(vm); err == nil {
		p.Close()
		f.Skipped, f.Evidence = true, "already running"
		return f
	}
	left, where, err := memoryLeft(root)
	switch {
	case err != nil:
		f.Skipped, f.Evidence = true, err.Error()
	case vm.Memory > left:
		f.Warning = fmt.Errorf("memory = %q, and %s: %w", vm.Memory, where, ErrLittleMemory)
		f.Evidence = f.Warning.Error()
	default:
		f.Evidence = where
	}
	return f
}

// examineSpace compares the space that a VM's disks may still need with the free space of their file systems: images
// are sparse, and a guest is paused when the host's space runs out.
func examineSpace(vm vms.VM) Finding {
	f := Finding{ID: "disk-space"}
	if len(vm.Disks) == 0 {
		f.Skipped, f.Evidence = true, "no disks"
		return f
	}
	var tightest *SpaceError
	for _, space := range spaces(vm.Disks) {
		if tightest == nil || space.slack() < tightest.slack() {
			tightest = space
		}
	}
	switch {
	case tightest == nil:
		f.Skipped, f.Evidence = true, "the disks are nowhere" // their own checks report more
	case tightest.slack() < 0:
		f.Warning, f.Evidence = tightest, tightest.Error()
	default:
		f.Evidence = tightest.amounts()
	}
	return f
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
	Group  string // the group that may open it, for ErrVhostDenied; "" if there is none
	Err    error  // wraps ErrNoVhost or ErrVhostDenied
}

// Error returns the device and the consequence.
func (e *VhostError) Error() string { return fmt.Sprintf("%s: %v", e.Device, e.Err) }

// Unwrap returns the cause.
func (e *VhostError) Unwrap() error { return e.Err }

// examineVhost opens the device as a start does, for VMs that use it.
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

// LingerError says that the services of a user end with the last logout; it wraps ErrNoLinger.
type LingerError struct{ User string }

func (e *LingerError) Error() string {
	return fmt.Sprintf("user %s does not linger: %v", e.User, ErrNoLinger)
}

// Unwrap returns ErrNoLinger.
func (e *LingerError) Unwrap() error { return ErrNoLinger }

// CheckLinger checks that the services of a user, with VMs' run directories in runtime, survive the last logout;
// otherwise the error is a [*LingerError]. root is the root of the host's files, "/". Every command uses this check.
func CheckLinger(runtime, root string, uid int) error {
	return examineLinger(runtime, root, uid).Warning
}

// examineLinger looks in the directory in which logind has a file for each lingering user, from which logind derives
// the property Linger; logind itself only knows users who are logged in or linger. For other users, all services end
// some seconds after the last logout, and /run/user/UID is removed (loginctl(1), user@.service(5)). A process that is
// left from a login delays both.
func examineLinger(runtime, root string, uid int) Finding {
	f := Finding{ID: "linger"}
	logind := fmt.Sprintf("/run/user/%d", uid)
	switch {
	case uid == 0:
		f.Skipped, f.Evidence = true, "VMs are not for root"
	case !exists(root, "/run/systemd/system"):
		f.Skipped, f.Evidence = true, "systemd does not run here"
	case !strings.HasPrefix(runtime, logind+"/"):
		f.Skipped, f.Evidence = true, runtime+" is not in "+logind
	default:
		name := userName(uid)
		f.Evidence = "/var/lib/systemd/linger/" + name
		if !exists(root, f.Evidence) {
			f.Warning = &LingerError{name}
			f.Evidence = f.Warning.Error()
		}
	}
	return f
}

func exists(root, path string) bool {
	_, err := os.Stat(filepath.Join(root, path))
	return err == nil
}

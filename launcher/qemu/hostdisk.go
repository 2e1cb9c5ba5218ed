package qemu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// LoopError says that a loop device of the host uses a file: the host may have mounted a file system in it, to which
// a guest must not write at the same time.
type LoopError struct{ Device string }

// Error returns the device.
func (e *LoopError) Error() string { return "the loop device " + e.Device + " has it open" }

// checkLoops returns a *LoopError if a loop device uses a file, unless both only read it.
func checkLoops(path string, readOnly bool) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil //nolint:nilerr // it will be created
	}
	files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		backing, err := os.Stat(strings.TrimSuffix(string(text), "\n"))
		if err != nil || !os.SameFile(info, backing) {
			continue
		}
		dir := filepath.Dir(filepath.Dir(file))
		if reads, _ := os.ReadFile(filepath.Join(dir, "ro")); !readOnly || string(reads) != "1\n" {
			return &LoopError{"/dev/" + filepath.Base(dir)}
		}
	}
	return nil
}

// ClaimedError says that the host itself uses a block device.
type ClaimedError struct {
	Device string
	Mount  string // where it, or a partition of it, is mounted; "" if it is swap, or part of an LVM or RAID volume
}

// Error says how the host uses it.
func (e *ClaimedError) Error() string {
	if e.Mount == "" {
		return "this host uses the device: as swap, or in LVM or RAID"
	}
	return "this host has it mounted on " + e.Mount
}

// checkClaimed asks the kernel whether the host uses a block device to which the guest would write, or a partition of
// it: opening it with O_EXCL then fails (open(2)).
func checkClaimed(d vms.Disk) error {
	info, err := os.Stat(d.Path)
	if err != nil || !isBlock(info) || d.ReadOnly {
		return nil //nolint:nilerr // its own check returns the error
	}
	f, err := os.OpenFile(d.Path, os.O_RDONLY|os.O_EXCL|unix.O_NONBLOCK, 0)
	if err == nil {
		return f.Close()
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !errors.Is(err, unix.EBUSY) {
		return nil
	}
	return &ClaimedError{d.Path, mountPoint(stat.Rdev)}
}

// mountPoint returns where a block device is mounted, or a partition of it, or a volume on either; "" if nowhere.
func mountPoint(device uint64) string {
	dir := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(device), unix.Minor(device))
	numbers := map[string]bool{filepath.Base(dir): true}
	for _, below := range []string{"*", "holders/*", "*/holders/*"} {
		files, _ := filepath.Glob(filepath.Join(dir, below, "dev"))
		for _, file := range files {
			text, _ := os.ReadFile(file)
			numbers[strings.TrimSpace(string(text))] = true
		}
	}
	text, _ := os.ReadFile("/proc/thread-self/mountinfo")
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line) // proc_pid_mountinfo(5)
		if len(fields) > 4 && numbers[fields[2]] {
			return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(fields[4])
		}
	}
	return ""
}

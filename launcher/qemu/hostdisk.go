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

// LoopError says that a loop device of the host is on a file: the host may have a file system of it mounted, which a
// guest must not write to at the same time.
type LoopError struct{ Device string }

// Error names the device.
func (e *LoopError) Error() string { return "the loop device " + e.Device + " has it open" }

// checkLoops returns a *LoopError when a loop device is on a file, unless both only read it.
func checkLoops(path string, readOnly bool) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil //nolint:nilerr // it is yet to be made
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
	Mount  string // where it is mounted, or a partition of it; "" when it is swap, or part of an LVM or RAID volume
}

// Error tells how the host uses it.
func (e *ClaimedError) Error() string {
	if e.Mount == "" {
		return "this host uses the device: as swap, or in LVM or RAID"
	}
	return "this host has it mounted on " + e.Mount
}

// checkClaimed asks the kernel whether the host uses a block device that the guest would write to, or a partition of
// it: then it cannot be opened with O_EXCL (open(2)).
func checkClaimed(d vms.Disk) error {
	info, err := os.Stat(d.Path)
	if err != nil || !isBlock(info) || d.ReadOnly {
		return nil //nolint:nilerr // which its own check says
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

// mountPoint is where a block device is mounted, or a partition of it, or a volume that is made of either; "" for
// nowhere.
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

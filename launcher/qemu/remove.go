package qemu

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// NoQEMU returns nil if a VM has no QEMU in any run directory among those in all (QEMUs). Otherwise the error wraps
// ErrRunning, or is an *OrphanError.
func NoQEMU(vm vms.VM, all []QEMU) error {
	vm, err := Locate(vm, func() ([]QEMU, error) { return all, nil })
	if err != nil {
		return err
	}
	p, err := Find(vm)
	if err == nil {
		p.Close()
		return fmt.Errorf("%w: QEMU, pid %d", ErrRunning, p.PID)
	}
	if !errors.Is(err, ErrNotRunning) {
		return err
	}
	if lost := Orphans(slices.DeleteFunc(slices.Clone(all), func(q QEMU) bool { return !q.IsOf(vm) })); len(lost) > 0 {
		return &OrphanError{lost[0]}
	}
	if IsRunning(vm) {
		return ErrRunning
	}
	return nil
}

// Sweep removes what a QEMU that has ended left in its run directory, and the file of its lock. The caller holds the
// VM's lock. If the VM runs, Sweep does nothing.
func Sweep(vm vms.VM) error {
	if IsRunning(vm) {
		return nil
	}
	var errs []error
	left := []string{runningFile(vm)}
	for _, name := range []string{pidName, vms.StartedFile, qmpName, consoleName, agentName, displayName, replyName} {
		left = append(left, filepath.Join(vm.RunDir, name))
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Remove removes what qlaunch created for a VM: its state directory, its run directory, and its data directory with
// the disks and all other files in it, except the lock, which the caller holds, and removes after the definition.
// Disks elsewhere belong to the user and are kept. Remove does nothing while the VM has a QEMU, or while any process
// has one of the files open: the error wraps ErrRunning, or is an *OrphanError or an *OpenError.
func Remove(vm vms.VM) error {
	all, err := QEMUs()
	if err != nil {
		return err
	}
	if err := NoQEMU(vm, all); err != nil {
		return err
	}
	if err := notOpen(vm); err != nil {
		return err
	}
	var errs []error
	doomed := []string{vm.StateDir, vm.RunDir}
	entries, err := os.ReadDir(vm.DataDir)
	if err != nil {
		errs = append(errs, err)
	}
	for _, entry := range entries {
		if entry.Name() != lockName {
			doomed = append(doomed, filepath.Join(vm.DataDir, entry.Name()))
		}
	}
	for _, path := range doomed {
		if err := os.RemoveAll(path); err != nil {
			errs = append(errs, fmt.Errorf("remove: %w", err))
		}
	}
	for _, d := range vm.Disks {
		errs = append(errs, removePart(vm, d))
	}
	return errors.Join(errs...)
}

// IsKept reports whether a name in a VM's data directory is that of a file which qlaunch creates for itself, and can
// create again.
func IsKept(name string) bool { return name == lockName || name == runningName }

// OpenError says that a process has a file in the VM's data directory open, or writes to one of its logs.
type OpenError struct {
	File    string
	PID     int
	Program string // the process's name
}

// Error returns the file and the process.
func (e *OpenError) Error() string {
	return fmt.Sprintf("%s is open in %s, pid %d", e.File, e.Program, e.PID)
}

// inode identifies a file, whatever its name.
type inode struct{ dev, ino uint64 }

// notOpen returns an *OpenError if a process has one of the files open that the removal of a VM would delete: a file
// in its data directory, or a log that it writes to. It checks the processes whose open files this user may see
// (proc_pid_fd(5)), at least the user's own. Of other processes it detects those that have QEMU's locks on a file in
// the data directory (*InUseError), and loop devices that use one (*LoopError).
func notOpen(vm vms.VM) error {
	held, err := inodes(vm.DataDir)
	if err != nil {
		return err
	}
	logs, err := inodes(vm.StateDir)
	if err != nil {
		return err
	}
	fds, err := filepath.Glob("/proc/[0-9]*/fd")
	if err != nil {
		return err
	}
	for _, dir := range fds {
		pid, _ := strconv.Atoi(strings.Split(dir, "/")[2])
		if pid == os.Getpid() {
			continue
		}
		if file := openIn(dir, pid, held, logs); file != "" {
			return &OpenError{file, pid, programOf(pid)}
		}
	}
	for _, file := range slices.Sorted(maps.Values(held)) {
		if err := cmp.Or(unlockedByAll(file), checkLoops(file, false)); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// openIn returns the first of the files that a process has open; of the logs, only one that it writes to. dir has the
// process's descriptors.
func openIn(dir string, pid int, held, logs map[inode]string) string {
	entries, _ := os.ReadDir(dir) // empty for another user's process, and for one that has ended
	for _, entry := range entries {
		id, ok := inodeOf(filepath.Join(dir, entry.Name()))
		if !ok {
			continue
		}
		if file := held[id]; file != "" {
			return file
		}
		if file := logs[id]; file != "" && isWritten(pid, entry.Name()) {
			return file
		}
	}
	return ""
}

// inodes returns the regular files below a directory, except those that our commands open for a moment.
func inodes(dir string) (map[inode]string, error) {
	files := map[inode]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !entry.Type().IsRegular() || IsKept(entry.Name()) {
			return nil
		}
		info, err := entry.Info()
		if stat, ok := sysStat(info, err); ok {
			files[inode{uint64(stat.Dev), stat.Ino}] = path
		}
		return nil
	})
	return files, err
}

func sysStat(info fs.FileInfo, err error) (*syscall.Stat_t, bool) {
	if err != nil {
		return nil, false // removed in the meantime
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return stat, ok
}

func inodeOf(path string) (inode, bool) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return inode{}, false
	}
	return inode{uint64(stat.Dev), stat.Ino}, true
}

// isWritten reports whether a process has a file open for writing (proc_pid_fdinfo(5)).
func isWritten(pid int, fd string) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if octal, found := strings.CutPrefix(line, "flags:"); found {
			flags, err := strconv.ParseUint(strings.TrimSpace(octal), 8, 64)
			return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
		}
	}
	return false
}

// programOf returns a process's name, which has at most 15 bytes (proc_pid_comm(5)).
func programOf(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "a process"
	}
	return strings.TrimSpace(string(name))
}

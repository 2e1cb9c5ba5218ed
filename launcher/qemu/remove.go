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

// NoQEMU finds the QEMU of a VM, wherever its run directory is, among those that there are (QEMUs): the error wraps
// ErrRunning, or is an *OrphanError. Without one it is nil.
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

// Sweep removes what a QEMU that has ended leaves in its run directory, and the file of its lock. The
// caller holds the VM's lock; a VM that runs is left as it is.
func Sweep(vm vms.VM) error {
	if IsRunning(vm) {
		return nil
	}
	var errs []error
	left := []string{runningFile(vm)}
	for _, name := range []string{pidName, vms.StartedFile, qmpName, consoleName, agentName, displayName, answerName} {
		left = append(left, filepath.Join(vm.RunDir, name))
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Remove removes what qlaunch made for a VM: its state directory, its run directory, and
// its data directory with the disks that lie there and all else, but for the lock, which
// the caller holds, and retires when the definition is gone too. Disks elsewhere are the user's and stay.
// Nothing is removed while the VM has a QEMU, or any process has one of the files open that would be lost: the
// error wraps ErrRunning, or is an *OrphanError or an *OpenError.
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

// IsKept tells whether a name in a VM's data directory is that of a file which qlaunch makes for itself, and makes again.
func IsKept(name string) bool { return name == lockName || name == runningName }

// OpenError says that a process has a file open that is in the VM's data directory, or writes one of its logs.
type OpenError struct {
	File    string
	PID     int
	Program string // the process's own name for itself
}

// Error names the file and the process.
func (e *OpenError) Error() string {
	return fmt.Sprintf("%s is open in %s, pid %d", e.File, e.Program, e.PID)
}

// inode is a file, whatever its name.
type inode struct{ dev, ino uint64 }

// notOpen returns an *OpenError when a process has one of the files open that a removal of a VM would destroy: those
// in its data directory, and the logs where they are written. It sees the processes whose files this user may see
// (proc_pid_fd(5)), its own at least; of the others, those that have QEMU's locks on a file of the data directory
// (*InUseError), and the loop devices on one (*LoopError).
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

// openIn gives the first of the files that a process, whose descriptors are in dir, has open, of logs those that it writes.
func openIn(dir string, pid int, held, logs map[inode]string) string {
	entries, _ := os.ReadDir(dir) // none of another user's process, or of one that has ended
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

// inodes are the regular files below a directory, but for those that commands of ours open for a moment.
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
		return nil, false // gone meanwhile
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

// isWritten tells whether a process has a file open for writing (proc_pid_fdinfo(5)).
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

// programOf is a process's name for itself, which is at most 15 bytes long (proc_pid_comm(5)).
func programOf(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "a process"
	}
	return strings.TrimSpace(string(name))
}

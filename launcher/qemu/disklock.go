package qemu

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// ErrDiskInUse means that another process has a disk of a start open.
var ErrDiskInUse = errors.New("another QEMU has a disk open")

// InUseError says that a disk cannot be opened because a QEMU or one of its tools has it open.
type InUseError struct {
	PID int    // 0: another user's process
	VM  string // the VM's name on QEMU's command line; may be empty
}

// Error returns the process, as far as this user may see it.
func (e *InUseError) Error() string {
	switch {
	case e.PID == 0:
		return ErrDiskInUse.Error() + ", of another user"
	case e.VM == "":
		return fmt.Sprintf("%v: pid %d", ErrDiskInUse, e.PID)
	}
	return fmt.Sprintf("%v: %s, pid %d", ErrDiskInUse, e.VM, e.PID)
}

// Unwrap returns ErrDiskInUse.
func (e *InUseError) Unwrap() error { return ErrDiskInUse }

// QEMU's locks on an image (block/file-posix.c): a byte for each permission that the holder has, and one for each
// that it does not share with others. A writer locks the permissions to write and to resize.
const (
	lockHas       = 100
	lockUnshared  = 200
	permRead      = 0
	permWrite     = 1
	anyPermission = 4
)

// unlocked asks the kernel whether QEMU would get its locks on a disk, without taking them. It ignores locks of the
// VM's own QEMU.
func unlocked(vm vms.VM, d vms.Disk) error {
	f, err := os.OpenFile(d.Path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil // its own check returns the error, or it will be created
	}
	defer f.Close()
	taken := isLocked(f, lockHas+permWrite, 1) || isLocked(f, lockUnshared+permRead, 1)
	if !d.ReadOnly {
		taken = taken || isLocked(f, lockUnshared+permWrite, anyPermission-permWrite)
	}
	if !taken {
		return nil
	}
	e := &InUseError{}
	e.PID, e.VM = diskHolder(d.Path)
	if p, err := findAnywhere(vm); err == nil {
		defer p.Close()
		if e.PID == p.PID {
			return nil
		}
	}
	return fmt.Errorf("disk %s: %w", d.Path, e)
}

// unlockedByAll returns an *InUseError if any process has one of QEMU's locks on a file. It takes no lock.
func unlockedByAll(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil // whether it can be read does not matter here
	}
	defer f.Close()
	if isLocked(f, lockHas, 2*(lockUnshared-lockHas)) {
		return &InUseError{}
	}
	return nil
}

// lockRefused matches the message of QEMU and its tools if they do not get one of their locks (raw_check_lock_bytes
// in block/file-posix.c).
var lockRefused = regexp.MustCompile(`Failed to get (shared )?"[a-z ]+" lock`)

func lacksLock(words string) bool { return lockRefused.MatchString(words) }

// withHolder adds the process that has a disk open, if it still has: the disk was free when it was checked.
func withHolder(vm vms.VM, err error) error {
	if !errors.Is(err, ErrDiskInUse) {
		return err
	}
	for _, d := range vm.Disks {
		if held := unlocked(vm, d); held != nil {
			return held
		}
	}
	return err
}

func isLocked(f *os.File, start, length int64) bool {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: start, Len: length}
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock) == nil && lock.Type != unix.F_UNLCK
}

// diskHolder finds the process that has locks on a file, and the name of its VM. Such a lock belongs to an open file,
// not to a process (fcntl(2)), so it looks for the open file in each process of this user.
func diskHolder(path string) (pid int, name string) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		n, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		open := openFile(n, path)
		if open == "" {
			continue
		}
		info, _ := os.ReadFile(filepath.Join(dir, "fdinfo", filepath.Base(open)))
		if n != os.Getpid() && bytes.Contains(info, []byte("\nlock:")) {
			return n, guestName(n)
		}
	}
	return 0, ""
}

// guestName returns the name on a QEMU's command line.
func guestName(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	_, rest, _ := strings.Cut(string(text), "\x00-name\x00guest=")
	name, _, _ := strings.Cut(rest, "\x00")
	name, _, _ = strings.Cut(name, ",")
	return name
}

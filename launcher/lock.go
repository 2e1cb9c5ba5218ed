package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// ErrBusy means that another command held a VM's lock until the deadline.
var ErrBusy = errors.New("another command is at work on this VM")

// Lock is a VM's lock, held: it keeps two commands from changing one VM at the
// same time. The kernel drops it with the process that holds it (fcntl(2), open
// file description locks).
type Lock struct{ file *os.File }

// Acquire waits for a VM's lock until ctx ends; then the error wraps ErrBusy
// and names the command that holds it. command is the word for the caller's own,
// by which others get to know it: one of the Command constants. The VM's
// directories must be there (MakeDirs).
func Acquire(ctx context.Context, vm vms.VM, command Command) (*Lock, error) {
	path := filepath.Join(vm.RunDir, lockName)
	for {
		lock, err := tryLock(path)
		if err != nil {
			return nil, err
		}
		if lock != nil {
			return lock.signed(path, command)
		}
		if err := waitUnlocked(ctx, path); err != nil {
			return nil, busy(vm, err)
		}
	}
}

// busyError is ErrBusy with the command that holds the lock, where that can be told, and the end of the wait.
type busyError struct {
	holder string
	cause  error
}

func busy(vm vms.VM, cause error) error {
	h, ok := AtWork(vm)
	if !ok { // it ended this moment, or works in another pid namespace
		return &busyError{cause: cause}
	}
	return &busyError{h.String(), cause}
}

func (e *busyError) Error() string {
	if e.holder == "" {
		return ErrBusy.Error()
	}
	return ErrBusy.Error() + ": " + e.holder
}

func (e *busyError) Unwrap() []error { return []error{ErrBusy, e.cause} }

func (l *Lock) signed(path string, command Command) (*Lock, error) {
	if err := sign(l.file, command); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), l.file.Close())
	}
	return l, nil
}

// Release gives the lock back. What the file says ends before the lock does, so
// that it is never said of the next to hold it.
func (l *Lock) Release() error { return errors.Join(l.file.Truncate(0), l.file.Close()) }

// tryLock gives the lock, or neither a lock nor an error when it is held. A
// lock file that was removed meanwhile is nobody's lock: that counts as held, and the next try makes a new one.
func tryLock(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if errors.Is(err, unix.EAGAIN) || err == nil && !sameFile(f, path) {
		return nil, f.Close()
	}
	if err == nil {
		err = sign(f, "")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return &Lock{f}, nil
}

func sameFile(f *os.File, path string) bool {
	held, err1 := f.Stat()
	there, err2 := os.Lstat(path)
	return err1 == nil && err2 == nil && os.SameFile(held, there)
}

// waitUnlocked waits until the lock file is free. A holder's end, however it
// comes, closes a file that is open for writing (inotify(7), IN_CLOSE_WRITE);
// the watch comes before each look, so that no end is missed, and a look
// neither takes the lock nor makes such an event, so that those who wait do not wake each other.
func waitUnlocked(ctx context.Context, path string) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	_, err = unix.InotifyAddWatch(fd, path, unix.IN_CLOSE_WRITE|unix.IN_DELETE_SELF)
	if errors.Is(err, unix.ENOENT) {
		return nil // the file is gone, and so is the lock
	}
	if err != nil {
		return fmt.Errorf("watch %s: %w", path, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = events.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		if _, held := writeLock(path); !held {
			return nil
		}
		if _, err := events.Read(make([]byte, 4096)); err != nil {
			return errors.Join(context.Cause(ctx), ignore(err, os.ErrDeadlineExceeded))
		}
	}
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// writeLock asks whether somebody holds a write lock on a file, and who, without
// taking it: fcntl(2), F_OFD_GETLK, which sees both kinds of fcntl locks. The pid
// is 0 for a process of another pid namespace, and -1 for an open file
// description lock. No file, no lock.
func writeLock(path string) (pid int, held bool) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil || lock.Type == unix.F_UNLCK {
		return 0, false
	}
	return int(lock.Pid), true
}

package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
// and names the process that holds it. The VM's directories must be there (MakeDirs).
func Acquire(ctx context.Context, vm vms.VM) (*Lock, error) {
	path := filepath.Join(vm.RunDir, lockName)
	for {
		lock, err := tryLock(path)
		if lock != nil || err != nil {
			return lock, err
		}
		if err := waitUnlocked(ctx, path); err != nil {
			return nil, fmt.Errorf("%w: pid %s holds %s: %w", ErrBusy, holder(path), path, err)
		}
	}
}

// Release gives the lock back.
func (l *Lock) Release() error { return l.file.Close() }

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
		err = writePID(f)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return &Lock{f}, nil
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
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

func holder(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "?"
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return "?"
	}
	return strconv.Itoa(pid)
}

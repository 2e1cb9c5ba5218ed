package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
type Lock struct {
	file       *os.File
	definition *os.File // see holdDefinition; nil: it is not held
}

// lockFile lies beside what the lock protects, so that commands with different environments exclude each other.
func lockFile(vm vms.VM) string { return filepath.Join(vm.DataDir, lockName) }

// Acquire waits for a VM's lock until ctx ends; then the error wraps ErrBusy
// and names the command that holds it. command is the word for the caller's own,
// by which others get to know it: one of the Command constants. The VM's
// directories must be there (MakeDirs).
func Acquire(ctx context.Context, vm vms.VM, command Command) (*Lock, error) {
	path := lockFile(vm)
	for {
		lock, err := tryLock(path)
		if err != nil {
			return nil, err
		}
		if lock != nil {
			return lock.ready(ctx, vm, command)
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

// ready is the lock as its holder works with it: signed, and no QEMU still on its way.
func (l *Lock) ready(ctx context.Context, vm vms.VM, command Command) (*Lock, error) {
	if err := sign(l.file, command); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", l.file.Name(), err), l.file.Close())
	}
	err := settle(ctx, vm)
	if err == nil && command.Starts() {
		l.definition, err = holdDefinition(ctx, vm)
	}
	if err != nil {
		return nil, errors.Join(err, l.Release())
	}
	return l, nil
}

// holdDefinition locks the definition of a VM that is to be started, for which it waits until ctx ends. Two starts with different data
// directories have no other file in common, and would not see each other's QEMU before it is there. Where there is no file, or
// its file system has no locks, there is nothing to hold. The lock is flock(2)'s, which takes a file that is open for reading.
func holdDefinition(ctx context.Context, vm vms.VM) (*os.File, error) {
	f, err := os.OpenFile(vm.File, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // the definition is read again after this, and says so
	}
	isHeld := func() bool { return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK) }
	if !isHeld() {
		return f, nil
	}
	if err := waitFree(ctx, vm.File, unix.IN_CLOSE|unix.IN_DELETE_SELF, isHeld); err != nil {
		return nil, errors.Join(&busyError{cause: err}, f.Close())
	}
	return f, nil
}

// Release gives the lock back. What the file says ends before the lock does, so
// that it is never said of the next to hold it; the lock before the file is
// closed, so that it is free when those who wait for it hear of that.
func (l *Lock) Release() error {
	if l.definition != nil {
		_ = l.definition.Close()
	}
	return errors.Join(
		l.file.Truncate(0),
		unix.FcntlFlock(l.file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK}),
		l.file.Close(),
	)
}

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
	return &Lock{file: f}, nil
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
	return waitFree(ctx, path, unix.IN_CLOSE_WRITE|unix.IN_DELETE_SELF, func() bool {
		_, held := writeLock(path)
		return held
	})
}

// waitFree waits until a file is not held any more, which is asked after each of the events of inotify(7).
func waitFree(ctx context.Context, path string, events uint32, isHeld func() bool) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	queue := os.NewFile(uintptr(fd), "inotify")
	defer queue.Close()
	stop := context.AfterFunc(ctx, func() { _ = queue.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for pause := time.Duration(0); ; {
		// Each time: the file may be another by now.
		_, err := unix.InotifyAddWatch(fd, path, events)
		if errors.Is(err, unix.ENOENT) {
			return nil // the file is gone, and so is the lock
		}
		if err != nil {
			return fmt.Errorf("watch %s: %w", path, err)
		}
		if !isHeld() {
			return nil
		}
		if pause, err = nextLook(ctx, queue, pause); err != nil {
			return err
		}
	}
}

// The kernel tells of a holder's end before it takes the lock from it (fs/file_table.c,
// __fput), which may be a moment later when that was killed: behind an event there are
// looks after 1, 2, 4 … ms, about half a second long.
const (
	firstPause = time.Millisecond
	lastPause  = 256 * time.Millisecond
)

// nextLook waits for an event, or for the pause when that is not 0, and gives the next pause.
func nextLook(ctx context.Context, events *os.File, pause time.Duration) (time.Duration, error) {
	var until time.Time
	if pause > 0 {
		until = time.Now().Add(pause)
	}
	_ = events.SetReadDeadline(until)
	if ctx.Err() != nil { // when it ends from here on, that sets the deadline
		return 0, context.Cause(ctx)
	}
	_, err := events.Read(make([]byte, 4096))
	switch {
	case err == nil:
		return firstPause, nil
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return 0, err
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case pause < lastPause:
		return 2 * pause, nil
	}
	return 0, nil
}

// writeLock asks whether somebody holds a write lock on a file, and who, without
// taking it: fcntl(2), F_OFD_GETLK, which sees both kinds of fcntl locks. The pid
// is 0 for a process of another pid namespace, and -1 for an open file
// description lock. No file, no lock; where it cannot be told, it counts as held.
func writeLock(path string) (pid int, held bool) {
	pid, held, err := askLock(path)
	return pid, held || err != nil
}

// askLock is writeLock for whoever can say why it cannot be told. It is asked for each VM that there is, several times:
// os.OpenFile would make two more system calls, to find out that there is nothing to wait for in a file.
func askLock(path string) (pid int, held bool, err error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_GETLK, &lock); err != nil {
		return 0, false, fmt.Errorf("lock %s: %w", path, err)
	}
	return int(lock.Pid), lock.Type != unix.F_UNLCK, nil
}

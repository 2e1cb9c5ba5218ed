package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// Lock is a held lock of a VM: it prevents two commands from changing the VM at the same time. The kernel releases it
// when the process that holds it ends (fcntl(2), open file description locks).
type Lock struct {
	file       *os.File
	definition *os.File // see holdDefinition; nil: not locked
}

// lockFile returns the path of the lock. The lock is in the directory that it protects, so that it works between
// commands with different environments.
func lockFile(vm vms.VM) string { return filepath.Join(vm.DataDir, lockName) }

// Release releases the lock. It clears the file before it unlocks it, so that the text is never taken for that of the
// next holder, and unlocks the file before it closes it, since closing wakes the commands that wait.
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

// tryLock returns the lock, or nil without an error if another process holds it. A lock on a file that was removed in
// the meantime does not count: tryLock returns nil, and the next attempt creates a new file.
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

// waitUnlocked waits until the lock file is unlocked. When a holder ends, however that happens, a file that is open
// for writing is closed (inotify(7), IN_CLOSE_WRITE). The watch is set before each check, so that no end is missed. A
// check neither takes the lock nor causes such an event, so that waiting commands do not wake each other.
func waitUnlocked(ctx context.Context, path string) error {
	return waitFree(ctx, path, unix.IN_CLOSE_WRITE|unix.IN_DELETE_SELF, func() bool {
		_, held := writeLock(path)
		return held
	})
}

// waitFree waits until isHeld is false; it checks after each inotify(7) event.
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
		// Each time, since the path may have another file by now.
		_, err := unix.InotifyAddWatch(fd, path, events)
		if errors.Is(err, unix.ENOENT) {
			return nil // the file is gone, and the lock with it
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

// The kernel reports the close before it releases the lock (fs/file_table.c, __fput), which may take a moment if the
// holder was killed. So after an event there are checks after 1, 2, 4 … ms, for about half a second.
const (
	firstPause = time.Millisecond
	lastPause  = 256 * time.Millisecond
)

// nextLook waits for an event, or for the pause if that is not 0, and returns the next pause.
func nextLook(ctx context.Context, events *os.File, pause time.Duration) (time.Duration, error) {
	var until time.Time
	if pause > 0 {
		until = time.Now().Add(pause)
	}
	_ = events.SetReadDeadline(until)
	if ctx.Err() != nil { // if it ends later, that sets the deadline
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

// writeLock returns whether a process holds a write lock on a file, and its process ID, without taking the lock:
// fcntl(2), F_OFD_GETLK, which detects both kinds of fcntl locks. The process ID is 0 for a process in another pid
// namespace, and -1 for an open file description lock. If the file does not exist, it is not locked; on other errors,
// it counts as locked.
func writeLock(path string) (pid int, held bool) {
	pid, held, err := askLock(path)
	return pid, held || err != nil
}

// askLock is writeLock with the error. It is called several times for each VM, so it avoids os.OpenFile, which makes
// two more system calls to find out that a regular file cannot be polled.
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

// Command is the command that holds a VM's lock.
type Command string

// The commands that hold a VM's lock.
const (
	CommandUp      Command = "up"
	CommandDown    Command = "down"
	CommandRestart Command = "restart"
	CommandRemove  Command = "rm"
	CommandEntry   Command = "ssh-config"
)

// Starts reports whether the command starts the VM.
func (c Command) Starts() bool { return c == CommandUp || c == CommandRestart }

// isKnown reports whether the text in a lock file is a command.
func (c Command) isKnown() bool {
	switch c {
	case CommandUp, CommandDown, CommandRestart, CommandRemove, CommandEntry:
		return true
	}
	return false
}

// Holder is the process that holds a VM's lock, as in the lock file: "PID COMMAND".
type Holder struct {
	PID     int
	Command Command
}

func (h Holder) String() string { return fmt.Sprintf("qlaunch %s (pid %d)", h.Command, h.PID) }

// LockHolder returns the command that holds a VM's lock, if one does. After a holder was killed, its text stays in
// the file, and its process ID may belong to another process. So the text is used only if the file is locked and that
// process has it open.
func LockHolder(vm vms.VM) (Holder, bool) {
	path := lockFile(vm)
	if _, held := writeLock(path); !held {
		return Holder{}, false
	}
	h, ok := signature(path)
	if !ok || !h.Command.isKnown() || openFile(h.PID, path) == "" {
		return Holder{}, false
	}
	return h, true
}

// sign writes the holder of a lock, this process with its command, into the lock file. If the disk is full, the lock
// works without the text: down and rm have to work then, too.
func sign(f *os.File, command Command) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendln(nil, strings.TrimSpace(fmt.Sprint(os.Getpid(), " ", command))), 0)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return nil
	}
	return err
}

// signature parses what sign wrote.
func signature(path string) (Holder, bool) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return Holder{}, false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64))
	number, command, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	pid, notNumber := strconv.Atoi(number)
	return Holder{PID: pid, Command: Command(command)}, err == nil && notNumber == nil && pid > 0
}

// holder returns the process ID in a lock file.
func holder(path string) string {
	h, ok := signature(path)
	if !ok {
		return "?"
	}
	return strconv.Itoa(h.PID)
}

// openFile returns the entry of /proc/PID/fd with which a process has a file open, or "", also if this user may not
// read the directory (proc_pid_fd(5)).
func openFile(pid int, path string) string {
	want, err := os.Stat(path)
	if err != nil {
		return ""
	}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		file := filepath.Join(dir, entry.Name())
		if got, err := os.Stat(file); err == nil && os.SameFile(got, want) {
			return file
		}
	}
	return ""
}

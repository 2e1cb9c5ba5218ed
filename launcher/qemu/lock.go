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

// Lock is a VM's lock, held: it keeps two commands from changing one VM at the
// same time. The kernel drops it with the process that holds it (fcntl(2), open
// file description locks).
type Lock struct {
	file       *os.File
	definition *os.File // see holdDefinition; nil: it is not held
}

// lockFile lies beside what the lock protects, so that commands with different environments exclude each other.
func lockFile(vm vms.VM) string { return filepath.Join(vm.DataDir, lockName) }

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

// Command is the word for what the holder of a VM's lock does.
type Command string

// The commands that hold a VM's lock.
const (
	CommandUp      Command = "up"
	CommandDown    Command = "down"
	CommandRestart Command = "restart"
	CommandRemove  Command = "rm"
	CommandEntry   Command = "ssh-config"
)

// Starts tells whether a VM that does not run now is about to.
func (c Command) Starts() bool { return c == CommandUp || c == CommandRestart }

// isKnown tells a command from what else may stand in a file.
func (c Command) isKnown() bool {
	switch c {
	case CommandUp, CommandDown, CommandRestart, CommandRemove, CommandEntry:
		return true
	}
	return false
}

// Holder is the process that holds a VM's lock, by what it wrote into the lock
// file: "PID COMMAND".
type Holder struct {
	PID     int
	Command Command
}

func (h Holder) String() string { return fmt.Sprintf("qlaunch %s (pid %d)", h.Command, h.PID) }

// AtWork tells which command holds a VM's lock, if one does. The file outlives
// a holder that was killed, and its number may be a stranger's by then, so it
// is believed only while the lock is held and that process has the file open.
func AtWork(vm vms.VM) (Holder, bool) {
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

// sign writes who holds a lock into its file: this process, and what it does, if that is told apart. A disk without room
// for that leaves the lock as good as it is: down and rm have to work there above all.
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

// signature reads what sign wrote.
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

// holder is the pid that stands in a lock's file.
func holder(path string) string {
	h, ok := signature(path)
	if !ok {
		return "?"
	}
	return strconv.Itoa(h.PID)
}

// openFile gives the entry of /proc/PID/fd by which a process has a file open,
// or nothing, also where this user may not look (proc_pid_fd(5)).
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

package qemu

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

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

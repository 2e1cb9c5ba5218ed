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

// A VM runs while the lock on the file "running" in its data directory is held. QEMU inherits the open
// file from the start that locked it, so the lock lives exactly as long as QEMU does, through
// SIGKILL too (fcntl(2), open file description locks), and lies beside what a second start or a removal would
// destroy: no environment variable comes between the two. The file's text is the run directory
// of that QEMU, and counts only while the lock is held.

// ErrRunning means that what was asked for needs a VM that does not run.
var ErrRunning = errors.New("it is running")

const runningName = "running"

// longestRunning is more than the longest path of a run directory, quoted (PATH_MAX).
const longestRunning = 16 << 10

func runningFile(vm vms.VM) string { return filepath.Join(vm.DataDir, runningName) }

// holdRunning takes the lock for a QEMU that is about to be started, to inherit
// it. The error wraps ErrRunning when a QEMU has it.
func holdRunning(vm vms.VM) (*os.File, error) {
	path := runningFile(vm)
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil, errors.Join(ErrRunning, f.Close())
		case err == nil && !sameFile(f, path): // it was removed meanwhile
			if err := f.Close(); err != nil {
				return nil, err
			}
			continue
		case err == nil:
			err = tellRunDir(f, vm.RunDir)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		return f, nil
	}
}

func tellRunDir(f *os.File, dir string) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%q\n", dir), 0)
	return err
}

// readRunning tells whether a VM's QEMU holds the lock in its data directory, and with which run directory it was
// started: empty where the file does not say, as in the moment before its text is written.
func readRunning(vm vms.VM) (runDir string, held bool, err error) {
	path := runningFile(vm)
	if _, held, err = askLock(path); !held || err != nil {
		return "", held, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", true, nil // it ends this moment, and another command cleans up
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, longestRunning))
	if err != nil {
		return "", true, fmt.Errorf("read %s: %w", path, err)
	}
	return parseRunDir(string(text), vm.Name), true, nil
}

// parseRunDir reads what tellRunDir wrote. Every other text says nothing.
func parseRunDir(text, name string) string {
	quoted, ended := strings.CutSuffix(text, "\n")
	dir, err := strconv.Unquote(quoted)
	if !ended || err != nil || !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || filepath.Base(dir) != name || strings.ContainsRune(dir, 0) {
		return ""
	}
	return dir
}

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

// A VM runs while the lock on the file "running" in its data directory is held. QEMU inherits the open file from the
// start that locked it, so the lock exists exactly as long as QEMU, even if QEMU is killed (fcntl(2), open file
// description locks). The lock is in the directory that a second start or a removal would damage, so it does not
// depend on environment variables. The file's text is the run directory of that QEMU, and is valid only while the
// lock is held.

// ErrRunning means that an operation needs a stopped VM.
var ErrRunning = errors.New("it is running")

const runningName = "running"

// longestRunning is more than the longest path of a run directory, quoted (PATH_MAX).
const longestRunning = 16 << 10

func runningFile(vm vms.VM) string { return filepath.Join(vm.DataDir, runningName) }

// holdRunning takes the lock, which a QEMU that is about to be started will inherit. The error wraps ErrRunning if a
// QEMU holds it.
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
		case err == nil && !sameFile(f, path): // it was removed in the meantime
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

// readRunning reports whether a VM's QEMU holds the lock in its data directory, and with which run directory it was
// started: empty if the file does not say, as in the moment before its text is written.
func readRunning(vm vms.VM) (runDir string, held bool, err error) {
	path := runningFile(vm)
	if _, held, err = askLock(path); !held || err != nil {
		return "", held, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", true, nil // it is ending, and another command cleans up
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, longestRunning))
	if err != nil {
		return "", true, fmt.Errorf("read %s: %w", path, err)
	}
	return parseRunDir(string(text), vm.Name), true, nil
}

// parseRunDir parses what tellRunDir wrote, and returns "" for any other text.
func parseRunDir(text, name string) string {
	quoted, ended := strings.CutSuffix(text, "\n")
	dir, err := strconv.Unquote(quoted)
	if !ended || err != nil || !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || filepath.Base(dir) != name || strings.ContainsRune(dir, 0) {
		return ""
	}
	return dir
}

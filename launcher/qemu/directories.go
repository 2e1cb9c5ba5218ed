package qemu

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// NotPrivateError says that a directory that must be private to this user is not: whoever can write to it could put a
// socket or a link in QEMU's place.
type NotPrivateError struct {
	Dir  string
	Why  string // "it is a symbolic link", "it belongs to uid 0", "its mode is 0755"
	Mode bool   // only its mode is wrong
	Own  bool   // it belongs to this user, but is not a directory
	Run  bool   // it is a run directory, or their parent
	UID  int    // the owner, if not this user
}

// Error returns the directory, the rule, and what is wrong.
func (e *NotPrivateError) Error() string {
	return fmt.Sprintf("%s: not a private directory of this user: %s", e.Dir, e.Why)
}

// errRemoved means that a directory which was just created is gone again.
var errRemoved = errors.New("removed by another command")

// MakeDirs creates a VM's run, state and data directories with mode 0700. It refuses anything else in their place (a
// link, a file, another user's directory) and a run directory that others may enter (*NotPrivateError).
func MakeDirs(vm vms.VM) error {
	for _, dir := range []string{filepath.Dir(vm.RunDir), vm.RunDir} {
		if err := makeDir(dir); err != nil {
			return ofRunDir(err)
		}
	}
	return cmp.Or(makeDir(vm.StateDir), makeDir(vm.DataDir))
}

func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil && !errors.Is(err, unix.ENOTDIR) {
		return fmt.Errorf("make directory: %w", err)
	}
	return checkPrivate(dir)
}

// RunDirError says that a run directory cannot be made.
type RunDirError struct{ Err error }

// Error returns the cause.
func (e *RunDirError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RunDirError) Unwrap() error { return e.Err }

// ofRunDir marks an error as one of a run directory or their parent: it returns a *NotPrivateError or a *RunDirError.
func ofRunDir(err error) error {
	if private, ok := errors.AsType[*NotPrivateError](err); ok {
		private.Run = true
		return err
	}
	if errors.Is(err, errRemoved) {
		return err
	}
	return &RunDirError{err}
}

// CheckRunDir refuses a run directory that is not private to the user, or whose parent is not: whoever created it
// could have put files there that this user's commands trust, or connect to. The error is a *NotPrivateError. A
// directory that does not exist is no error.
func CheckRunDir(dir string) error {
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := checkPrivate(d); err != nil && !errors.Is(err, errRemoved) {
			return ofRunDir(err)
		}
	}
	return nil
}

func checkPrivate(dir string) error {
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", dir, errRemoved)
	}
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	e := &NotPrivateError{Dir: dir}
	switch {
	case !info.IsDir():
		e.Why, e.Own = "it is a "+kindOf(info.Mode()), ok && int(stat.Uid) == os.Getuid()
	case !ok || int(stat.Uid) != os.Getuid():
		e.Why, e.UID = fmt.Sprintf("it belongs to uid %d", stat.Uid), int(stat.Uid)
	case info.Mode().Perm()&0o077 != 0:
		e.Why, e.Mode = fmt.Sprintf("its mode is %04o", info.Mode().Perm()), true
	default:
		return nil
	}
	return e
}

// writeFile writes a file atomically: it appears under its name only when it is complete and synced to the disk.
func writeFile(path string, write func(io.Writer) error) (err error) {
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // the file of a killed start, or a link that somebody made
	}
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// checkDirs says why a start could not create the VM's directories, or write to those that exist. It creates none, so
// that a VM can be checked before it has any.
func checkDirs(vm vms.VM) error {
	for _, dir := range []string{filepath.Dir(vm.RunDir), vm.RunDir} {
		if err := checkDir(dir); err != nil {
			return ofRunDir(err)
		}
	}
	for _, dir := range []string{vm.StateDir, vm.DataDir} {
		if err := checkDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func checkDir(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		if err := checkPrivate(dir); err != nil {
			return err
		}
	}
	return madeIn(dir)
}

// madeIn checks that this user may write to a directory, or create it with its parents.
func madeIn(dir string) error {
	at := existing(dir)
	info, err := os.Stat(at)
	switch {
	case err == nil && !info.IsDir():
		err = unix.ENOTDIR
	case err == nil:
		err = permitted(at, "w")
	}
	for up := dir; err == nil && up != at; up = filepath.Dir(up) {
		if err = dangling(up); err != nil {
			err = fmt.Errorf("%s: %w", up, err)
		}
	}
	if err != nil {
		return fmt.Errorf("write into %s: %w", dir, cause(err))
	}
	return nil
}

// DanglingError says that the target of a symbolic link does not exist; perhaps its file system is not mounted.
type DanglingError struct{ Path, Target string }

// Error returns the target, which may be relative to the link.
func (e *DanglingError) Error() string {
	return fmt.Sprintf("a symbolic link to %s, which does not exist", e.Target)
}

// dangling returns a *DanglingError if a path that cannot be opened is a symbolic link.
func dangling(path string) error {
	target, err := os.Readlink(path)
	if err != nil {
		return nil //nolint:nilerr // no link
	}
	return &DanglingError{path, target}
}

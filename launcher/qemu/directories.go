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

// NotPrivateError says that a directory that must be this user's alone is not:
// whoever can write there could put a socket or a link in QEMU's way.
type NotPrivateError struct {
	Dir  string
	Why  string // "it is a symbolic link", "it belongs to uid 0", "its mode is 0755"
	Mode bool   // its mode is all that is wrong
	Own  bool   // it is the user's own, and no directory
	Run  bool   // it is a run directory, or what all those of the user lie in
	UID  int    // whose it is, where that is not this user
}

// Error names the directory, the rule, and what is there.
func (e *NotPrivateError) Error() string {
	return fmt.Sprintf("%s: not a private directory of this user: %s", e.Dir, e.Why)
}

// errRemoved means that a directory which had just been made is gone again.
var errRemoved = errors.New("removed by another command")

// MakeDirs makes a VM's run, state and data directories, 0700, and refuses what
// stands in their place: a link, a file, another user's directory, or a run
// directory that others may enter (*NotPrivateError).
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

// Error gives the cause.
func (e *RunDirError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *RunDirError) Unwrap() error { return e.Err }

// ofRunDir is an error of a run directory, or of the one that those of the user lie in: a *NotPrivateError or a *RunDirError.
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

// CheckRunDir refuses a run directory that is not, or does not lie in, a directory that is the user's alone: whoever
// made it could have put there what this user's commands believe, or connect to. The error is a *NotPrivateError. What is not there is no danger.
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

// writeFile puts a whole file in place or none: what is written becomes visible
// under its name only when it is complete and on the disk.
func writeFile(path string, write func(io.Writer) error) (err error) {
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // what a start that was killed has left, or a link that somebody put there
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

// checkDirs says what keeps a start from making the VM's directories, or from writing into those that are there. It makes
// none, so that a VM can be looked at before it has any.
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

// madeIn asks whether this user may write into a directory, or make it with those above it.
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

// DanglingError says that a path is a symbolic link that leads nowhere: to a file system that is not mounted, perhaps.
type DanglingError struct{ Path, Target string }

// Error names where it leads, which may be relative to the link.
func (e *DanglingError) Error() string {
	return fmt.Sprintf("a symbolic link to %s, which does not exist", e.Target)
}

// dangling gives a *DanglingError for a path at which nothing can be opened, and which is a link all the same.
func dangling(path string) error {
	target, err := os.Readlink(path)
	if err != nil {
		return nil //nolint:nilerr // no link
	}
	return &DanglingError{path, target}
}

package qemu

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrFile says that a start cannot use a file.
var ErrFile = errors.New("cannot be used")

// DeniedError says why this user cannot read or write a file.
type DeniedError struct {
	Path  string      // the file, or the directory on its path that denies access
	Need  string      // the missing permissions, as chmod(1) and setfacl(1) write them: "r", "w", "rw", or "x" for a directory
	Mode  fs.FileMode // of Path
	Owner string      // its owner's name, or uid
	Own   bool        // it belongs to this user
}

// Error returns the path that denies access, its owner and its mode.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("permission denied: %s %s belongs to %s, mode %04o", kindOf(e.Mode), e.Path, e.Owner, e.Mode.Perm())
}

// Unwrap returns fs.ErrPermission.
func (e *DeniedError) Unwrap() error { return fs.ErrPermission }

// permitted asks the kernel whether this user may read or write a file, without opening it, so that it causes no
// inotify(7) event. need is "r", "w" or "rw". The error is a *DeniedError if a mode or an ACL denies it.
func permitted(path, need string) error {
	var mode uint32
	if strings.Contains(need, "r") {
		mode |= unix.R_OK
	}
	if strings.Contains(need, "w") {
		mode |= unix.W_OK
	}
	err := unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
	if !errors.Is(err, unix.EACCES) {
		return err
	}
	if dir := closedDirectory(path); dir != "" {
		path, need = dir, "x"
	}
	return denied(path, need)
}

// closedDirectory returns the first directory on the path of a file that this user may not search, or "".
func closedDirectory(path string) string {
	for i := 1; i < len(path); i++ {
		if path[i] != filepath.Separator {
			continue
		}
		if errors.Is(unix.Faccessat(unix.AT_FDCWD, path[:i], unix.X_OK, unix.AT_EACCESS), unix.EACCES) {
			return path[:i]
		}
	}
	return ""
}

func denied(path, need string) error {
	info, err := os.Stat(path)
	if err != nil {
		return unix.EACCES
	}
	e := &DeniedError{Path: path, Need: need, Mode: info.Mode()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		e.Owner, e.Own = userName(int(stat.Uid)), int(stat.Uid) == os.Geteuid()
	}
	return e
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeSymlink != 0:
		return "symbolic link"
	case mode&fs.ModeDevice != 0:
		return "device"
	case mode&fs.ModeNamedPipe != 0:
		return "pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	default:
		return "file"
	}
}

// cause removes the path from an error of package os; the caller adds it.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// openingGroup returns the name of the group that may read and write a device, or "" if its mode allows none.
func openingGroup(device string) string {
	info, err := os.Stat(device)
	if err != nil || info.Mode().Perm()&0o060 != 0o060 {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	gid := strconv.Itoa(int(stat.Gid))
	if g, err := user.LookupGroupId(gid); err == nil {
		return g.Name
	}
	return gid
}

// userName returns a user's name, or the number if there is none. For this process's own user, who may exist only in
// a directory service, it uses $USER too.
func userName(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.Current(); err == nil && u.Uid == id {
		return u.Username
	}
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func checkReadable(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrPermission) {
		return cmp.Or(permitted(path, "r"), cause(err))
	}
	if err != nil {
		return cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("a %s, not a file", kindOf(info.Mode()))
	}
	return err
}

package qemu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// DeniedError says what keeps this user from reading or writing a file.
type DeniedError struct {
	Path  string      // the file, or the directory on the way to it that denies
	Need  string      // what would do, as chmod(1) and setfacl(1) write it: "r", "w", "rw", or "x" for a directory
	Mode  fs.FileMode // of Path
	Owner string      // its owner's name, or uid
	Own   bool        // it is this user's own
}

// Error names what denies, its owner and its mode.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("permission denied: %s %s belongs to %s, mode %04o", kindOf(e.Mode), e.Path, e.Owner, e.Mode.Perm())
}

// Unwrap is fs.ErrPermission.
func (e *DeniedError) Unwrap() error { return fs.ErrPermission }

// permitted asks the kernel whether this user may read or write a file, without
// opening it: whoever watches the file sees nothing of that (inotify(7)). need is "r", "w" or "rw".
// The error is a *DeniedError where a mode or an ACL denies it.
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

// closedDirectory is the first directory on the way to a file that this user may not pass, or "".
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

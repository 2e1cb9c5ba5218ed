package netsetup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// An UntrustedError says that somebody else than root could change what root writes, reads or runs.
type UntrustedError struct {
	Path      string // what root was about to use
	Component string // the part of the way to it that is not root's alone
	Why       string
	Mode      bool // its mode is the reason, and not its owner
}

func (e *UntrustedError) Error() string {
	text := e.Component + ": " + e.Why
	if e.Component != e.Path {
		text = "by way of " + text
	}
	return fmt.Sprintf("%s: not root's alone: %s", e.Path, text)
}

// Trusted says whether root alone decides what is found at a path: nil, or an [*UntrustedError] with the first
// component that others could change. It follows the path from the root as the kernel does, through every symbolic
// link, such as those of /bin and of update-alternatives(1): each directory, link and file on it must be root's, and
// nothing but a link may be writable by a group or by others. A sticky directory is no exception: whoever may write
// there decides what is there that root has not made. What is not there yet is as good as the directories that lead to
// it.
func Trusted(path string) error { return trusted("/", path, 0) }

// trusted is the same for what lies below another root, whose owner is to be the one of all of it.
func trusted(root, path string, owner uint32) error {
	at, rest := "/", strings.Split(path, "/")
	if err := component(root, path, at, owner); err != nil {
		return err
	}
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		target, err := step(root, path, next, owner)
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
			return nil
		case err != nil:
			return err
		case target == "":
			at = next
			continue
		}
		const mostLinks = 40 // the kernel's own bound, path_resolution(7)
		if links++; links > mostLinks {
			return &fs.PathError{Op: "follow", Path: path, Err: unix.ELOOP}
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return nil
}

// step looks at one part of the way to a path, and gives where it leads to if that is a symbolic link.
func step(root, path, part string, owner uint32) (target string, err error) {
	if err := component(root, path, part, owner); err != nil {
		return "", err
	}
	target, err = os.Readlink(filepath.Join(root, part))
	if errors.Is(err, unix.EINVAL) { // not a link
		return "", nil
	}
	return target, err
}

// component looks at one part of the way to a path. Nobody can write a symbolic link, whatever its mode: symlink(7).
func component(root, path, part string, owner uint32) error {
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(root, part), &st); err != nil {
		return &fs.PathError{Op: "lstat", Path: part, Err: err}
	}
	e := &UntrustedError{Path: path, Component: part}
	switch {
	case st.Uid != owner:
		e.Why = "belongs to user " + UserName(st.Uid)
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return nil
	case st.Mode&0o002 != 0:
		e.Why, e.Mode = fmt.Sprintf("mode %04o: others can write it", st.Mode&0o7777), true
	case st.Mode&0o020 != 0:
		e.Why, e.Mode = fmt.Sprintf("mode %04o: group %s can write it", st.Mode&0o7777, GroupName(st.Gid)), true
	default:
		return nil
	}
	return e
}

package host

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/qlaunch/qlaunch/netsetup"
)

// maxFile is the maximum size, in bytes, of a file that setup reads.
const maxFile = 1 << 20

// lookFile returns the [fileState] of a file.
func lookFile(path string) (string, error) {
	f, err := open(path)
	if err != nil || f == nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxFile {
		return "", fmt.Errorf("%s: larger than %d bytes", path, maxFile)
	}
	mode, err := modeOf(f)
	return mode + "\n" + string(data), err
}

// open opens a regular file, or returns nil if it does not exist. It refuses symbolic links, which could make root use
// any other file.
func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, nil
	case errors.Is(err, syscall.ELOOP):
		return nil, fmt.Errorf("%s: is a symbolic link", path)
	case err != nil:
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("%s: is not a regular file", path)
	}
	return f, nil
}

// modeOf returns the [modeState] of an open file.
func modeOf(f *os.File) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	return stateOf(info), nil
}

func stateOf(info fs.FileInfo) string {
	st, _ := info.Sys().(*syscall.Stat_t)
	return modeState(info.Mode(), netsetup.UserName(st.Uid), netsetup.GroupName(st.Gid))
}

// An access is the mode, owner and group at the beginning of a state.
type access struct {
	mode     fs.FileMode
	uid, gid int
}

// parseAccess reads "MODE OWNER:GROUP".
func parseAccess(state string) (access, error) {
	octal, owners, _ := strings.Cut(state, " ")
	owner, group, _ := strings.Cut(owners, ":")
	bits, err := strconv.ParseUint(octal, 8, 12)
	if err != nil {
		return access{}, fmt.Errorf("state %q: %w", state, err)
	}
	a := access{mode: fs.FileMode(bits) & fs.ModePerm}
	for bit, set := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if bits&bit != 0 {
			a.mode |= set
		}
	}
	if a.uid, err = id(owner, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	}); err != nil {
		return a, err
	}
	a.gid, err = id(group, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	return a, err
}

// id returns the number of a user or group name. The name may itself be a number.
func id(name string, lookup func(string) (string, error)) (int, error) {
	if n, err := strconv.Atoi(name); err == nil {
		return n, nil
	}
	number, err := lookup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(number)
}

// give sets the owner, the group and then the mode of an open file, since a change of owner clears the setuid bit.
func (a access) give(f *os.File) error {
	if err := f.Chown(a.uid, a.gid); err != nil {
		return err
	}
	return f.Chmod(a.mode)
}

// setFile replaces a file atomically with one of the given state. The empty state removes the file.
func setFile(path, state string) error {
	if state == "" {
		return remove(path)
	}
	mode, text, _ := strings.Cut(state, "\n")
	return replace(path, mode, strings.NewReader(text))
}

// beside returns the temporary name of a file before it is renamed. It is always the same, so that the next run removes
// the file that a killed run left.
func beside(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".qlaunch")
}

func remove(path string) error {
	for _, p := range []string{beside(path), path} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(path)
}

func replace(path, mode string, content io.Reader) error {
	a, err := parseAccess(mode)
	if err != nil {
		return err
	}
	// The file that a killed run left may be readable by more users than the new content should be.
	if err := os.Remove(beside(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(beside(path), os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err = errors.Join(err, a.give(f), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(beside(path)))
	}
	if err := os.Rename(beside(path), path); err != nil {
		return err
	}
	return syncDir(path)
}

func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// lookMode returns the [modeState] of a file or directory, empty if it does not exist.
func lookMode(path string) (string, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return stateOf(info), nil
}

// setMode sets the mode, owner and group of an existing file.
func setMode(path, state string) error {
	a, err := parseAccess(state)
	if err != nil {
		return err
	}
	f, err := open(path)
	if err != nil || f == nil {
		return err
	}
	defer f.Close()
	return a.give(f)
}

// setDirectory creates a directory, or removes an empty one. A directory that is not empty stays, since others use it.
func setDirectory(path, state string) error {
	if state == "" {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
		return nil
	}
	a, err := parseAccess(state)
	if err != nil {
		return err
	}
	if err := os.Mkdir(path, a.mode.Perm()); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(a.give(dir), dir.Close())
}

// lookProgram returns the state of the copy of this program.
func lookProgram(path string) (string, error) {
	f, err := open(path)
	if err != nil || f == nil {
		return "", err
	}
	defer f.Close()
	mode, err := modeOf(f)
	if err != nil {
		return "", err
	}
	sum, err := digest(f)
	return mode + " " + sum, err
}

func digest(f *os.File) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// self is the executable of this process. The path that it was started from may lead to another file by now.
const self = "/proc/self/exe"

// thisProgram returns the state that a copy of this program has.
func thisProgram() (string, error) {
	f, err := os.Open(self)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum, err := digest(f)
	return modeState(0o755, "root", "root") + " " + sum, err
}

// setProgram copies this program. An older copy cannot be restored: the present copy stays.
func setProgram(path, state string) error {
	if state == "" {
		return remove(path)
	}
	want, err := thisProgram()
	if err != nil || state != want {
		return err
	}
	f, err := os.Open(self)
	if err != nil {
		return err
	}
	defer f.Close()
	return replace(path, state[:strings.LastIndex(state, " ")], f)
}

// fileState returns the state of a file: permission bits with setuid, setgid and sticky, owner and group by name, and
// the content.
func fileState(mode fs.FileMode, owner, group string, content []byte) string {
	return modeState(mode, owner, group) + "\n" + string(content)
}

// modeState returns the state of a mode or a directory.
func modeState(mode fs.FileMode, owner, group string) string {
	bits := uint32(mode.Perm())
	for bit, set := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if mode&set != 0 {
			bits |= bit
		}
	}
	return fmt.Sprintf("%04o %s:%s", bits, owner, group)
}

// mode returns the beginning of a file's state, its mode and owners.
func mode(state string) string {
	m, _, _ := strings.Cut(state, "\n")
	return m
}

// content returns the part of a file's state after the mode.
func content(state string) string {
	_, text, _ := strings.Cut(state, "\n")
	return text
}

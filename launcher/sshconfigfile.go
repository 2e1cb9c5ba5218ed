package launcher

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// sshConfigLimit is the maximal size of a configuration, in bytes; real ones are smaller.
const sshConfigLimit = 1 << 20

// editSSHConfig changes the user's configuration, or the file to which it links, atomically. If edit returns nil, the
// file is removed.
func editSSHConfig(include sshInclude, edit func(text []byte, isThere bool) ([]byte, error)) error {
	file, err := filepath.EvalSymlinks(include.file)
	if errors.Is(err, fs.ErrNotExist) {
		return createSSHConfig(include.file, edit)
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > sshConfigLimit {
		return fmt.Errorf("%s: not a regular file of a modest size", file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	now, err := edit(text, true)
	switch {
	case err != nil:
		return err
	case now == nil && file == include.file:
		return os.Remove(file)
	case bytes.Equal(now, text):
		return nil
	}
	if err := replaceSSHConfig(file, info, text, now); err != nil {
		return &SSHConfigError{file, include.line(), err}
	}
	return nil
}

// createSSHConfig creates the file, in a directory that ssh accepts (FILES in ssh(1)). It does not overwrite a file
// that was created in the meantime.
func createSSHConfig(file string, edit func([]byte, bool) ([]byte, error)) error {
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s: a link to what is not there", file)
	}
	text, err := edit(nil, false)
	if err != nil || len(text) == 0 {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	draft, err := draftOf(file, text, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(os.Link(draft, file), os.Remove(draft), syncDir(filepath.Dir(file)))
}

// replaceSSHConfig replaces a file's text, and keeps its mode, owner and extended attributes.
func replaceSSHConfig(file string, info fs.FileInfo, before, text []byte) error {
	status := info.Sys().(*syscall.Stat_t)
	if status.Nlink > 1 {
		return errors.New("it has another hard link, which would stay as it was")
	}
	draft, err := draftOf(file, text, info.Mode().Perm())
	if err != nil {
		return err
	}
	err = copyOwner(file, draft, status)
	if now, readErr := os.ReadFile(file); err == nil && (readErr != nil || !bytes.Equal(now, before)) {
		err = errors.Join(errors.New("it has been changed by somebody else meanwhile"), readErr)
	}
	if err == nil {
		err = os.Rename(draft, file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(draft))
	}
	return syncDir(filepath.Dir(file))
}

// copyOwner copies the owner and the extended attributes, including ACLs, of a file to the draft that replaces it.
func copyOwner(file, draft string, status *syscall.Stat_t) error {
	if err := os.Lchown(draft, int(status.Uid), int(status.Gid)); err != nil {
		return err
	}
	names := make([]byte, 1<<16)
	n, err := unix.Listxattr(file, names)
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return err
	}
	value := make([]byte, 1<<16)
	for name := range strings.SplitSeq(strings.Trim(string(names[:n]), "\x00"), "\x00") {
		if name == "" || strings.HasPrefix(name, "security.") { // the label depends on the directory
			continue
		}
		n, err := unix.Getxattr(file, name, value)
		if err == nil {
			err = unix.Setxattr(draft, name, value[:n], 0)
		}
		if err != nil {
			return fmt.Errorf("attribute %s: %w", name, err)
		}
	}
	return nil
}

// draftOf writes a text to a new file in the same directory, and syncs it.
func draftOf(file string, text []byte, mode fs.FileMode) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".config-qlaunch-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// syncDir syncs a directory.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// SSHConfigError says that qlaunch cannot write the user's configuration: it is in a read-only store, belongs to
// another user, or has several links.
type SSHConfigError struct {
	File, Line string // the configuration, and the line to put at its top instead
	Err        error
}

func (e *SSHConfigError) Error() string { return fmt.Sprintf("%s: %v", e.File, e.Err) }

// Unwrap returns the reason.
func (e *SSHConfigError) Unwrap() error { return e.Err }

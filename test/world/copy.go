package world

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// openSources opens what is to be copied while nothing is mounted over it yet.
func (m *maker) openSources() error {
	m.sources = map[string]*os.File{}
	for to, from := range m.Copy {
		if !filepath.IsLocal(to) {
			return fmt.Errorf("%q: must be a path inside the world's directory", to)
		}
		f, err := os.Open(from)
		if err != nil {
			return err
		}
		m.sources[to] = f
	}
	return nil
}

// copySources copies each, contents and modes, and gives it to the user. A
// copy, not a bind mount: the user may have no way to the original (a checkout
// in /root), and ssh wants a key that belongs to who uses it.
func (m *maker) copySources() error {
	for to, f := range m.sources {
		to = filepath.Join(Dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := copyTo(to, f); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		err := filepath.WalkDir(to, func(file string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return m.own(file)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// copyTo copies the open file or directory f.
func copyTo(to string, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(fmt.Sprintf("/proc/self/fd/%d", f.Fd())))
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, f); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

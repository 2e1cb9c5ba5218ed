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
		if err := m.copyAll(to, f); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// copyAll copies the open file, or the open directory with the directories and
// regular files in it.
func (m *maker) copyAll(to string, f *os.File) error {
	// The path that f was opened by may lie under one of the world's mounts.
	from := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	if info, err := f.Stat(); err != nil {
		return err
	} else if !info.IsDir() {
		return m.copyFile(to, from)
	}
	return fs.WalkDir(os.DirFS(from), ".", func(file string, entry fs.DirEntry, err error) error {
		target := filepath.Join(to, file)
		switch {
		case err != nil:
			return err
		case entry.Type().IsRegular():
			return m.copyFile(target, filepath.Join(from, file))
		case !entry.IsDir():
			return nil
		}
		if err := os.Mkdir(target, 0o755); err != nil && !os.IsExist(err) {
			return err
		}
		return m.own(target)
	})
}

// copyFile copies one file and its permissions.
func (m *maker) copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return m.own(to)
}

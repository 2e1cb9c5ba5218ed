package lease

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// A tree watches files that may not exist yet, nor the directories that they will be in: it watches the nearest
// directory that does exist, and moves down as others appear.
type tree struct {
	inotify *fsnotify.Watcher
	root    string
	paths   []string
	parts   map[string]bool // the files, and every directory above them, below the root
}

// newTree watches for the paths, which are below root. Directories that this user may not read are passed over: what
// is in them can not be read either. No more inotify watches is an error.
func newTree(root string, paths []string) (*tree, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, limit(err)
	}
	t := &tree{inotify: w, root: filepath.Clean(root), parts: map[string]bool{}}
	for _, path := range paths {
		t.add(path)
	}
	if err := t.arm(); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return t, nil
}

// add has a path watched from the next arm on.
func (t *tree) add(path string) {
	t.paths = append(t.paths, path)
	for p := path; p != t.root && p != filepath.Dir(p); p = filepath.Dir(p) {
		t.parts[p] = true
	}
}

// concerns says whether an event is about one of the files, or a directory on the way to it.
func (t *tree) concerns(e fsnotify.Event) bool { return t.parts[filepath.Clean(e.Name)] }

// arm sets the watches for the directories that are there now. It is to be called after every event.
func (t *tree) arm() error {
	for _, path := range t.paths {
		if err := t.descend(path); err != nil {
			return err
		}
		// A file behind a symbolic link changes in another directory.
		if target, err := filepath.EvalSymlinks(path); err == nil && target != path {
			t.parts[target] = true
			if err := t.descend(target); err != nil {
				return err
			}
		}
	}
	return nil
}

// descend watches the nearest directory to path that exists. The directory may come into being between the look and
// the watch; so it looks again until the answer stays the same.
func (t *tree) descend(path string) error {
	for watched := ""; ; {
		dir := t.nearest(filepath.Dir(path))
		if dir == watched {
			return nil
		}
		err := t.inotify.Add(dir)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return t.alone(path)
		case errors.Is(err, fs.ErrNotExist) && dir != t.root: // it went away again
			continue
		case err != nil:
			return fmt.Errorf("watch %s: %w", dir, limit(err))
		}
		watched = dir
	}
}

// alone watches a file itself, in a directory that may be entered but not listed.
func (t *tree) alone(path string) error {
	err := t.inotify.Add(path)
	if err == nil || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("watch %s: %w", path, limit(err))
}

// nearest is dir, or the first directory above it that exists.
func (t *tree) nearest(dir string) string {
	for dir != t.root && dir != filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

func (t *tree) close() error { return t.inotify.Close() }

// limit says in words which of the kernel's limits an error of inotify's means (inotify(7)); its own, "no space left
// on device", sends people to df.
func limit(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("fs.inotify.max_user_watches is reached: %w", err)
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("fs.inotify.max_user_instances, or the limit of open files, is reached: %w", err)
	}
	return err
}

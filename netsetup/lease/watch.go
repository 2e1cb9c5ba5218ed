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

// tree watches files that may not exist yet, in directories that may not exist either: it watches the nearest
// existing directory, and moves down as directories appear.
type tree struct {
	inotify *fsnotify.Watcher
	root    string
	paths   []string
	parts   map[string]bool // the files, and all directories above them below the root
}

// newTree watches the paths, which are below root. It skips directories that this user cannot read, since their files
// cannot be read either. It is an error if no more inotify watches can be made.
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

// add adds a path that is watched from the next arm on.
func (t *tree) add(path string) {
	t.paths = append(t.paths, path)
	for p := path; p != t.root && p != filepath.Dir(p); p = filepath.Dir(p) {
		t.parts[p] = true
	}
}

// concerns reports whether an event is about one of the files, or a directory above one.
func (t *tree) concerns(e fsnotify.Event) bool { return t.parts[filepath.Clean(e.Name)] }

// arm sets the watches for the directories that exist now. Call it after every event.
func (t *tree) arm() error {
	for _, path := range t.paths {
		if err := t.descend(path); err != nil {
			return err
		}
		// If the file is a symbolic link, changes happen in another directory.
		if target, err := filepath.EvalSymlinks(path); err == nil && target != path {
			t.parts[target] = true
			if err := t.descend(target); err != nil {
				return err
			}
		}
	}
	return nil
}

// descend watches the nearest existing directory to path. A directory may be created between the check and the watch,
// so it repeats both until the result is the same.
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
		case errors.Is(err, fs.ErrNotExist) && dir != t.root: // the directory was removed again
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

// nearest returns dir, or the first directory above it that exists.
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

// limit names the kernel's limit that an inotify error means (inotify(7)); the error's own text, "no space left on
// device", makes users check their disks.
func limit(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("fs.inotify.max_user_watches is reached: %w", err)
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("fs.inotify.max_user_instances, or the limit of open files, is reached: %w", err)
	}
	return err
}

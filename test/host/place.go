package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// place is where one host lives: a directory on a real disk and a cgroup.
//
// Who ends in order removes both. Who is killed cannot, but its lock on the
// directory ends too, by which the next to make a place knows what to remove.
type place struct {
	dir    string
	cgroup string
	lock   *os.File
}

// newPlace makes a place in the directory cache.
func newPlace(cache string) (*place, error) {
	// One at a time makes or sweeps: a place that is not locked yet is nobody's.
	making, err := lock(filepath.Join(cache, "places.lock"), unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer making.Close()
	groups, err := cgroups()
	if err != nil {
		return nil, err
	}
	sweep(cache, groups)
	dir, err := os.MkdirTemp(cache, "run.")
	if err != nil {
		return nil, err
	}
	p := &place{dir: dir, cgroup: cgroupOf(groups, dir)}
	if p.lock, err = lock(dir, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, err
	}
	for _, dir := range []string{p.path("upper"), p.path("work"), p.path("root"), p.path("dev"), p.cgroup} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, errors.Join(err, p.remove())
		}
	}
	return p, nil
}

// path is that of a file of the place's.
func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

// remove removes the place, in which no process may be left.
func (p *place) remove() error {
	err := errors.Join(removeGroup(p.cgroup), os.RemoveAll(p.dir))
	return errors.Join(err, p.lock.Close())
}

// sweep removes the places of those that were killed. It does what it can: what
// it cannot remove harms nobody.
func sweep(cache, groups string) {
	dirs, _ := filepath.Glob(filepath.Join(cache, "run.*"))
	for _, dir := range dirs {
		held, err := lock(dir, unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			continue
		}
		left := place{dir: dir, cgroup: cgroupOf(groups, dir), lock: held}
		_ = left.remove()
	}
}

// lock opens and locks a file or a directory; closing it ends the lock.
func lock(path string, how int) (*os.File, error) {
	flags := os.O_RDONLY
	if filepath.Ext(path) == ".lock" {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), how); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, errors.Join(err, f.Close()))
	}
	return f, nil
}

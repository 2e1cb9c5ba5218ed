package world

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mounts gives the world its /proc, its own directory, and an empty /run and
// /var/lib: the host's leases, sockets and buses are not the world's.
func (m *maker) mounts() error {
	// Not one mount made here may travel back to the host.
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	for _, dir := range []string{Dir, "/run", "/var/lib"} {
		if err := mount("world", dir, "tmpfs", 0, "mode=755"); err != nil {
			return err
		}
	}
	runtime := fmt.Sprintf("/run/user/%d", m.uid)
	for _, dir := range []string{Home, Dir + "/bin", Dir + "/tmp", runtime, filepath.Dir(Leases)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(runtime, 0o700); err != nil {
		return err
	}
	return m.own(Home, Dir+"/tmp", runtime)
}

// replace puts a directory of the world's own over dir: fill makes what is in
// it, at a place from which the old contents of dir can still be reached.
func replace(dir string, fill func(at string) error) error {
	at := filepath.Join(Dir, "new"+filepath.Base(dir))
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	if err := mount("world", at, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	if err := fill(at); err != nil {
		return err
	}
	if err := mount(at, dir, "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	return os.Remove(at)
}

// mount is mount(2) with an error that names the place.
func mount(source, target, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s: %w", target, err)
	}
	return nil
}

// bind makes the file old appear at the new path as well.
func bind(old, path string) error {
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		return err
	}
	return mount(old, path, "", unix.MS_BIND, "")
}

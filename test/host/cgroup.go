package host

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cgroups is where this machine has the unified hierarchy of cgroups, which is
// the only one that Debian's systemd is at home in. On machines that keep the
// controllers in the old hierarchies it has none: hosts there have no limits.
func cgroups() (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	// proc(5): … mount point, options, optional fields, a hyphen, type, …
	for lines := bufio.NewScanner(f); lines.Scan(); {
		mount, kind, _ := strings.Cut(lines.Text(), " - ")
		if fields := strings.Fields(mount); strings.HasPrefix(kind, "cgroup2 ") && len(fields) > 4 {
			return fields[4], nil
		}
	}
	return "", errors.New("this machine has no cgroup2 mounted")
}

// cgroupOf is the cgroup of the place dir.
func cgroupOf(groups, dir string) string {
	return filepath.Join(groups, "qlaunch-host-"+strings.TrimPrefix(filepath.Base(dir), "run."))
}

// removeGroup removes a cgroup and those in it. Their files are the kernel's
// and go with them; only directories can be removed, the innermost first.
func removeGroup(group string) error {
	var dirs []string
	err := filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, dir := range slices.Backward(dirs) {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

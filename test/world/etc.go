package world

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// etc replaces /etc by one that shows the host's, but for /etc/qemu, which
// holds the bridge.conf of the options alone, and for passwd and group, in
// which the user is there, with its home in the world, and is in the group kvm.
func (m *maker) etc() error {
	old := filepath.Join(Dir, ".etc")
	if err := os.Mkdir(old, 0o755); err != nil {
		return err
	}
	// With what is mounted on it: in a user namespace the kernel does not let
	// one look below the mounts of the host.
	if err := mount("/etc", old, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	return replace("/etc", func(at string) error {
		entries, err := os.ReadDir(old)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := show(filepath.Join(old, entry.Name()), filepath.Join(at, entry.Name())); err != nil {
				return err
			}
		}
		if err := m.accounts(old, at); err != nil {
			return err
		}
		return m.acl(filepath.Join(at, "qemu"))
	})
}

// acl makes /etc/qemu with the bridge.conf alone.
func (m *maker) acl(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	conf := strings.TrimSuffix(m.BridgeConf, "\n") + "\n"
	return os.WriteFile(filepath.Join(dir, "bridge.conf"), []byte(conf), 0o644)
}

// show makes a link at path to file, or the same link when it is one: that may
// be relative, and would point elsewhere from where it was moved. What the
// world has of its own is not shown.
func show(file, path string) error {
	if slices.Contains([]string{"passwd", "group", "qemu"}, filepath.Base(file)) {
		return nil
	}
	if to, err := os.Readlink(file); err == nil {
		return os.Symlink(to, path)
	}
	return os.Symlink(file, path)
}

// accounts writes passwd(5) and group(5), and learns the gid of kvm.
func (m *maker) accounts(old, at string) error {
	passwd, err := os.ReadFile(filepath.Join(old, "passwd"))
	if err != nil {
		return err
	}
	group, err := os.ReadFile(filepath.Join(old, "group"))
	if err != nil {
		return err
	}
	users := []string{fmt.Sprintf("user:x:%d:%d:user:%s:/bin/sh", m.uid, m.gid, Home)}
	for line := range strings.Lines(string(passwd)) {
		if f := strings.Split(line, ":"); len(f) > 3 && f[0] != "user" && f[2] != strconv.Itoa(m.uid) {
			users = append(users, strings.TrimSuffix(line, "\n"))
		}
	}
	groups := []string{fmt.Sprintf("user:x:%d:", m.gid)}
	m.kvmGroup = User + 1
	for line := range strings.Lines(string(group)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		switch {
		case len(f) != 4 || f[0] == "user" || f[2] == strconv.Itoa(m.gid):
		case f[0] == "kvm":
			if m.kvmGroup, err = strconv.Atoi(f[2]); err != nil {
				return err
			}
		default:
			groups = append(groups, strings.Join(f, ":"))
		}
	}
	groups = append(groups, fmt.Sprintf("kvm:x:%d:user", m.kvmGroup))
	if err := writeLines(filepath.Join(at, "passwd"), users); err != nil {
		return err
	}
	return writeLines(filepath.Join(at, "group"), groups)
}

func writeLines(file string, lines []string) error {
	return os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

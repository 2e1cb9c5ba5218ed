package world

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// helper puts a directory with nothing but the bridge helper over the one that
// the distribution keeps it in. In root's worlds it is 4750 root:kvm, as
// Debian's administrators are told to install it.
func (m *maker) helper() error {
	dir := filepath.Dir(Helper)
	return replace(dir, func(at string) error {
		if m.Helper == "missing" {
			return nil
		}
		to := filepath.Join(at, filepath.Base(Helper))
		if err := m.copyFile(to, Helper); err != nil {
			return fmt.Errorf("%w (package qemu-system-common)", err)
		}
		if !m.asRoot || m.Helper == "plain" {
			return os.Chmod(to, 0o755)
		}
		if err := os.Chown(to, 0, m.kvmGroup); err != nil {
			return err
		}
		if err := unix.Chmod(to, 0o4750); err != nil { // chown took the bit, so it comes after
			return err
		}
		if m.Helper == "nosuid" {
			return mount("world", at, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID, "")
		}
		return nil
	})
}

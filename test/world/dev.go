package world

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// dev replaces /dev by one with the common nodes of the host's and with tun
// and kvm as the options say. Root's worlds have nodes of their own for those
// two, whose modes a script may change; a user namespace can only show the
// host's.
func (m *maker) dev() error {
	return replace("/dev", func(at string) error {
		if err := common(at); err != nil {
			return err
		}
		if err := m.node(at, "net/tun", "/dev/net/tun", unix.Mkdev(10, 200), m.Tun); err != nil {
			return err
		}
		return m.kvm(at)
	})
}

// common makes what every /dev has: the harmless nodes of the host's, the usual
// links, terminals and shared memory of the world's own.
func common(at string) error {
	var errs []error
	for _, dir := range []string{"pts", "shm", "net"} {
		errs = append(errs, os.Mkdir(filepath.Join(at, dir), 0o755))
	}
	for _, node := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		errs = append(errs, bind("/dev/"+node, filepath.Join(at, node)))
	}
	for _, link := range [][2]string{
		{"fd", "/proc/self/fd"}, {"stdin", "fd/0"}, {"stdout", "fd/1"}, {"stderr", "fd/2"}, {"ptmx", "pts/ptmx"},
	} {
		errs = append(errs, os.Symlink(link[1], filepath.Join(at, link[0])))
	}
	errs = append(errs,
		os.Chmod(filepath.Join(at, "shm"), 0o777|os.ModeSticky),
		mount("devpts", filepath.Join(at, "pts"), "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"))
	return errors.Join(errs...)
}

// node makes one device node, which a user namespace binds from the host's; the
// numbers are those of the kernel's Documentation/admin-guide/devices.txt.
func (m *maker) node(at, name, host string, device uint64, state string) error {
	if state == "absent" {
		return nil
	}
	file := filepath.Join(at, name)
	if !m.asRoot {
		if err := unix.Access(host, unix.R_OK|unix.W_OK); err != nil && name != "kvm" {
			return fmt.Errorf("%s: %w: a user namespace cannot change that, root can", host, err)
		}
		return bind(host, file)
	}
	mode := uint32(0o666)
	if state == "closed" {
		mode = 0o600
	}
	if err := unix.Mknod(file, unix.S_IFCHR|mode, int(device)); err != nil {
		return fmt.Errorf("mknod %s: %w", file, err)
	}
	return os.Chmod(file, os.FileMode(mode)) // the umask took its part
}

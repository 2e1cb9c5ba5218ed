package world

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoUserNamespaces means that this machine does not let an ordinary user
// make a world; root can.
var ErrNoUserNamespaces = errors.New("an ordinary user may not make user namespaces here, so run this with sudo")

// ErrNoNamespaces means that this is root without the right to make namespaces.
var ErrNoNamespaces = errors.New("root without CAP_SYS_ADMIN cannot make namespaces: a container needs to be a privileged one")

// namespaces says what would keep this user from making a world.
func namespaces(asRoot bool) error {
	if asRoot {
		return rootNamespaces()
	}
	return UserNamespaces()
}

// rootNamespaces says whether root is root enough.
func rootNamespaces() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // two words of 32 capabilities
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	if sets[0].Effective&(1<<unix.CAP_SYS_ADMIN) == 0 {
		return ErrNoNamespaces
	}
	return nil
}

// UserNamespaces is an error that names the setting that keeps an ordinary user of
// this machine from making user namespaces, and wraps ErrNoUserNamespaces.
func UserNamespaces() error { return userNamespaces("/") }

// userNamespaces looks for what keeps an ordinary user from making a namespace
// that is good for something. With AppArmor's restriction (Ubuntu since 24.04)
// making one succeeds, and then every use of a capability in it is refused, so
// the cause would not show: https://ubuntu.com/blog/ubuntu-23-10-restricted-unprivileged-user-namespaces
// The files are looked for under root, which is / but in a test.
func userNamespaces(root string) error {
	for _, c := range []struct{ file, bad string }{
		{"/proc/sys/user/max_user_namespaces", "0"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0"}, // Debian's own, up to 11
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"},
	} {
		text, err := os.ReadFile(filepath.Join(root, c.file))
		if err != nil || strings.TrimSpace(string(text)) != c.bad {
			continue // a kernel without the file has no such restriction
		}
		if c.bad == "1" && profiled(root) {
			continue
		}
		return fmt.Errorf("%s = %s: %w", c.file, c.bad, ErrNoUserNamespaces)
	}
	return nil
}

// profiled says whether an AppArmor profile confines this process; such a
// profile may grant what the restriction takes from unconfined processes.
func profiled(root string) bool {
	text, err := os.ReadFile(filepath.Join(root, "/proc/self/attr/current"))
	return err == nil && !strings.HasPrefix(string(text), "unconfined")
}

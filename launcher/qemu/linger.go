package qemu

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// A LingerError says that the services of a user end with the last logout; it wraps ErrNoLinger.
type LingerError struct{ User string }

func (e *LingerError) Error() string {
	return fmt.Sprintf("user %s does not linger: %v", e.User, ErrNoLinger)
}

// Unwrap is ErrNoLinger.
func (e *LingerError) Unwrap() error { return ErrNoLinger }

// CheckLinger tells whether the services of a user, with VMs' run directories in runtime, outlive the last logout: the
// error is a [*LingerError] where they do not. root is where the host's files are, "/". It is what every command goes by.
func CheckLinger(runtime, root string, uid int) error {
	return examineLinger(runtime, root, uid).Warning
}

// examineLinger looks where logind keeps the users whose manager outlives their logins, by their names, and what its own
// property Linger is made of; logind itself answers only for users who are logged in or linger. Of another's manager,
// all services end some seconds after the last logout, and /run/user/UID goes (loginctl(1), user@.service(5)). A process
// that a login left behind keeps both.
func examineLinger(runtime, root string, uid int) Finding {
	f := Finding{ID: "linger"}
	logind := fmt.Sprintf("/run/user/%d", uid)
	switch {
	case uid == 0:
		f.Skipped, f.Evidence = true, "VMs are not for root"
	case !exists(root, "/run/systemd/system"):
		f.Skipped, f.Evidence = true, "systemd does not run here"
	case !strings.HasPrefix(runtime, logind+"/"):
		f.Skipped, f.Evidence = true, runtime+" is not in "+logind
	default:
		name := userName(uid)
		f.Evidence = "/var/lib/systemd/linger/" + name
		if !exists(root, f.Evidence) {
			f.Warning = &LingerError{name}
			f.Evidence = f.Warning.Error()
		}
	}
	return f
}

func exists(root, path string) bool {
	_, err := os.Stat(filepath.Join(root, path))
	return err == nil
}

// userName is a user's name, or, without one, the number. This process's own user, whom only the
// network may know, is asked for by $USER too.
func userName(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.Current(); err == nil && u.Uid == id {
		return u.Username
	}
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

package launcher

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// CheckLinger tells whether the services of this user, with VMs' run directories in runtime, outlive the last logout: the
// error wraps ErrNoLinger where they do not. root is where the host's files are, "/".
func CheckLinger(runtime, root string) error {
	return examineLinger(runtime, root, os.Getuid()).Warning
}

// examineLinger asks where logind keeps the users whose manager outlives their logins, by their names: of another's,
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
			f.Warning = fmt.Errorf("user %s does not linger: %w", name, ErrNoLinger)
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

package launcher

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// accountDeadline is how long a directory service may take to look up a user.
const accountDeadline = 10 * time.Second

// findAccount returns a user's entry in passwd(5): from the file, or, for users of LDAP, systemd-homed and so on,
// from getent(1), which queries the services in nsswitch.conf(5). A static program cannot query them itself.
func findAccount(ctx context.Context, uid int) (*user.User, error) {
	if who, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return who, nil
	}
	ctx, cancel := context.WithTimeout(ctx, accountDeadline)
	defer cancel()
	line, err := exec.CommandContext(ctx, "getent", "passwd", strconv.Itoa(uid)).Output()
	if err != nil {
		return nil, fmt.Errorf("user %d: not in passwd: %w", uid, err)
	}
	return parseAccount(string(line))
}

// parseAccount parses a line of passwd(5).
func parseAccount(line string) (*user.User, error) {
	fields := strings.Split(strings.TrimSuffix(line, "\n"), ":")
	if len(fields) != 7 || fields[0] == "" || strings.Contains(fields[6], "\n") {
		return nil, errors.New("not a line of passwd")
	}
	return &user.User{Username: fields[0], Uid: fields[2], Gid: fields[3], Name: fields[4], HomeDir: fields[5]}, nil
}

// findHome returns a user's home directory: home, which is $HOME, or, if that is not set to an absolute path, as in
// cron jobs and units, the directory in the passwd entry, which ssh uses too. It is empty if neither is known.
func findHome(ctx context.Context, home string, uid int) string {
	if filepath.IsAbs(home) {
		return home
	}
	who, err := findAccount(ctx, uid)
	if err != nil || !filepath.IsAbs(who.HomeDir) {
		return ""
	}
	return who.HomeDir
}

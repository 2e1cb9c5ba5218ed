package vms

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Dirs are the user's directories of qlaunch, by the XDG base directory
// specification.
type Dirs struct {
	Config  string // the definitions, …/qlaunch/vms
	Data    string // …/qlaunch
	State   string // …/qlaunch
	Runtime string // where the run directory of a new start is made; gone after the user's last logout or a reboot
	Session string // the user's own runtime directory, which Runtime is in; empty: there is none
}

// Surroundings are what the user's directories depend on.
type Surroundings struct {
	Getenv func(string) string
	Home   string
	UID    int
	Tmp    string // the system's temporary directory
	Users  string // where logind makes the users' runtime directories: /run/user
}

// FindDirs finds the user's directories. A relative path in an XDG variable is
// ignored, as the specification asks. Without a home, those that would lie there are empty.
//
// The runtime directory is chosen here and nowhere else: XDG_RUNTIME_DIR where it
// is as the specification wants it (an absolute path of a directory that is the user's own and
// has mode 0700); else /run/user/UID where that is; else qlaunch-UID below the
// temporary directory, which may not be there yet, or not be the user's: who uses it
// checks that. None of this decides whether a VM runs.
func FindDirs(s Surroundings) Dirs {
	base := func(variable, below string) string {
		switch dir := s.Getenv(variable); {
		case filepath.IsAbs(dir):
			return filepath.Join(dir, "qlaunch")
		case s.Home == "":
			return ""
		}
		return filepath.Join(s.Home, below, "qlaunch")
	}
	d := Dirs{
		Config:  base("XDG_CONFIG_HOME", ".config"),
		Data:    base("XDG_DATA_HOME", ".local/share"),
		State:   base("XDG_STATE_HOME", ".local/state"),
		Runtime: filepath.Join(temporary(s.Tmp), fmt.Sprintf("qlaunch-%d", s.UID)),
	}
	if d.Config != "" {
		d.Config = filepath.Join(d.Config, subdirectory)
	}
	for _, dir := range []string{s.Getenv("XDG_RUNTIME_DIR"), filepath.Join(s.Users, strconv.Itoa(s.UID))} {
		if isPrivate(dir, s.UID) {
			d.Session = filepath.Clean(dir)
			d.Runtime = filepath.Join(dir, "qlaunch")
			break
		}
	}
	return d
}

// Check says whether each directory is known.
func (d Dirs) Check() error {
	if d.Config == "" || d.Data == "" || d.State == "" {
		return ErrNoHome
	}
	return nil
}

// ErrNoHome says that the user has no home directory, nor XDG variables that name all that would lie there.
var ErrNoHome = errors.New("no home directory: HOME is not set to an absolute path, and passwd has none for this user")

// temporary is the system's temporary directory: TMPDIR where that is one, else /tmp (file-hierarchy(7)).
func temporary(dir string) string {
	if info, err := os.Stat(dir); err == nil && info.IsDir() && filepath.IsAbs(dir) {
		return dir
	}
	return "/tmp"
}

// isPrivate tells whether a path leads to a directory that only a user can enter.
func isPrivate(dir string, uid int) bool {
	if !filepath.IsAbs(dir) {
		return false
	}
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == uid
}

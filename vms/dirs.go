package vms

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Dirs are the directories of qlaunch for one user, as in the XDG Base Directory Specification.
type Dirs struct {
	Config  string // the definitions, …/qlaunch/vms
	Data    string // …/qlaunch
	State   string // …/qlaunch
	Runtime string // where a start creates the run directory; deleted after the user's last logout and at a reboot
	Session string // the user's own runtime directory, the parent of Runtime; empty if there is none
}

// Surroundings is what the user's directories depend on.
type Surroundings struct {
	Getenv func(string) string
	Home   string
	UID    int
	Tmp    string // the system's temporary directory
	Users  string // where logind creates the users' runtime directories: /run/user
}

// FindDirs returns the user's directories. It ignores a relative path in an XDG variable, as the specification
// requires. Without a home directory, those that would be in it are empty.
//
// Only FindDirs chooses the runtime directory: XDG_RUNTIME_DIR if it is as the specification requires (the absolute
// path of a directory that the user owns, with mode 0700); else /run/user/UID if that is one; else qlaunch-UID in the
// temporary directory. The latter may not exist yet, or belong to somebody else: the caller has to check. Whether a
// VM runs does not depend on the choice.
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

// Check returns ErrNoHome if a directory is unknown.
func (d Dirs) Check() error {
	if d.Config == "" || d.Data == "" || d.State == "" {
		return ErrNoHome
	}
	return nil
}

// ErrNoHome says that the user has neither a home directory nor the XDG variables that replace it.
var ErrNoHome = errors.New("no home directory: HOME is not set to an absolute path, and passwd has none for this user")

// temporary returns the system's temporary directory: TMPDIR if it is a directory, else /tmp (file-hierarchy(7)).
func temporary(dir string) string {
	if info, err := os.Stat(dir); err == nil && info.IsDir() && filepath.IsAbs(dir) {
		return dir
	}
	return "/tmp"
}

// isPrivate reports whether a path is a directory that only the user can access.
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

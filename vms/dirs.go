package vms

import (
	"fmt"
	"path/filepath"
)

// Dirs are the user's directories of qlaunch, by the XDG base directory
// specification.
type Dirs struct {
	Config  string // the definitions, …/qlaunch/vms
	Data    string // …/qlaunch
	State   string // …/qlaunch
	Runtime string // …/qlaunch; gone after the user's last logout
}

// FindDirs finds the user's directories. A relative path in an XDG variable is
// ignored, as the specification asks. Without XDG_RUNTIME_DIR the runtime
// directory is tmp/qlaunch-UID.
func FindDirs(getenv func(string) string, home string, uid int, tmp string) Dirs {
	base := func(variable, fallback string) string {
		if dir := getenv(variable); filepath.IsAbs(dir) {
			return filepath.Join(dir, "qlaunch")
		}
		return fallback
	}
	return Dirs{
		Config:  filepath.Join(base("XDG_CONFIG_HOME", filepath.Join(home, ".config", "qlaunch")), "vms"),
		Data:    base("XDG_DATA_HOME", filepath.Join(home, ".local", "share", "qlaunch")),
		State:   base("XDG_STATE_HOME", filepath.Join(home, ".local", "state", "qlaunch")),
		Runtime: base("XDG_RUNTIME_DIR", filepath.Join(tmp, fmt.Sprintf("qlaunch-%d", uid))),
	}
}

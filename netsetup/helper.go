package netsetup

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// HelperPlaces returns the paths where distributions install qemu-bridge-helper, Debian's first; the last is that of
// NixOS's setuid wrappers. PATH is never searched.
func HelperPlaces() []string {
	return []string{
		"/usr/lib/qemu/qemu-bridge-helper",
		"/usr/libexec/qemu-bridge-helper",
		"/usr/libexec/qemu/qemu-bridge-helper",
		"/run/wrappers/bin/qemu-bridge-helper",
	}
}

// FindHelper returns the path of the bridge helper: the configured path or, if that is empty, the first of
// [HelperPlaces] that exists. The error is a [*HelperError] with [ErrNoHelper] that names the searched paths.
// [Check] finds out whether the user may run the helper and whether it has its privileges.
func FindHelper(configured string) (string, error) {
	if configured != "" {
		return findHelper([]string{configured})
	}
	return findHelper(HelperPlaces())
}

func findHelper(places []string) (string, error) {
	for _, path := range places {
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() {
			return path, nil
		}
		if errors.Is(err, fs.ErrPermission) { // this user may not search its directory: it may exist
			return path, nil
		}
	}
	return "", NoHelper(places)
}

// NoHelper returns the [*HelperError] with [ErrNoHelper] for a helper that is at none of these paths.
func NoHelper(places []string) error {
	detail := "looked for " + strings.Join(places, ", ")
	return &HelperError{Failure: Failure{What: "bridge helper", Cause: ErrNoHelper, Detail: detail}, Helper: places[0]}
}

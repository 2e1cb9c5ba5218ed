package netsetup

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// HelperPlaces are the paths where distributions put qemu-bridge-helper, Debian's first; the last is that of NixOS's
// setuid wrappers. It is never searched on PATH.
func HelperPlaces() []string {
	return []string{
		"/usr/lib/qemu/qemu-bridge-helper",
		"/usr/libexec/qemu-bridge-helper",
		"/usr/libexec/qemu/qemu-bridge-helper",
		"/run/wrappers/bin/qemu-bridge-helper",
	}
}

// FindHelper is the path of the bridge helper: the configured one, or, when that is empty, the first of
// [HelperPlaces] that is there. The error is a [*HelperError] with [ErrNoHelper] that names the places looked at.
// Whether it may be run, and has what it needs, is [Check]'s to say.
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
		if errors.Is(err, fs.ErrPermission) { // in a directory closed to this user: there, as far as we can say
			return path, nil
		}
	}
	return "", NoHelper(places)
}

// NoHelper is the [*HelperError] with [ErrNoHelper] for a helper that is in none of these places.
func NoHelper(places []string) error {
	detail := "looked for " + strings.Join(places, ", ")
	return &HelperError{Failure: Failure{What: "bridge helper", Cause: ErrNoHelper, Detail: detail}, Helper: places[0]}
}

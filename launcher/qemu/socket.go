package qemu

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// listen makes a socket that QEMU listens on. Connecting works from this moment
// on, and QEMU, which unlinks whatever stands at a path that it is told to
// listen on, never sees the path.
func listen(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	short, dir, err := shorten(path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if dir != nil {
		defer dir.Close()
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	f, err := l.File()
	return f, errors.Join(err, l.Close(), os.Chmod(path, 0o600))
}

// longestSocket is the most bytes of a path that fit into a socket's address,
// which has 108 with the final zero (unix(7)).
const longestSocket = 107

// shorten gives a name for the path that fits into a socket's address: a
// longer one goes through its directory, which must then stay open meanwhile.
func shorten(path string) (string, *os.File, error) {
	if len(path) <= longestSocket {
		return path, nil, nil
	}
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), dir, nil
}

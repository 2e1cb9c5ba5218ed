package host

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/netsetup"
)

// ErrBusy says that another setup or teardown is at work.
var ErrBusy = errors.New("another qlaunch is at work on this host's network")

// ErrNotRoot says that the caller is not root.
var ErrNotRoot = errors.New("only root can do this")

const lockPath = "/run/qlaunch-net.lock"

// lock lets one run at a time change the host. The kernel ends it with the process.
func lock() (release func(), err error) {
	if os.Geteuid() != 0 {
		return nil, ErrNotRoot
	}
	if err := netsetup.Trusted(lockPath); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(lockPath, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrBusy
		}
		return nil, fmt.Errorf("%s: %w", lockPath, err)
	}
	return func() { f.Close() }, nil
}

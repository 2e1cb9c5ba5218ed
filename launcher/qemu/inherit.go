package qemu

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
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

// inheritance is the open files that a QEMU inherits, in order from descriptor 3 on.
type inheritance struct {
	env   []string // variables
	files []*os.File
	own   []*os.File // what is ours to close
}

func (in *inheritance) add(f *os.File) int {
	in.files = append(in.files, f)
	return 2 + len(in.files)
}

func (in *inheritance) addOwn(f *os.File) int {
	in.own = append(in.own, f)
	return in.add(f)
}

// listen adds a socket that QEMU listens on.
func (in *inheritance) listen(path string) (int, error) {
	socket, err := listen(path)
	if err != nil {
		return 0, err
	}
	return in.addOwn(socket), nil
}

// close closes our copies: a tap, and a listening socket, must end with QEMU.
func (in *inheritance) close() {
	for _, f := range in.own {
		_ = f.Close()
	}
	in.own = nil
}

func inherit(vm vms.VM, taps []*os.File, in *inheritance) (Files, error) {
	var files Files
	var err error
	if files.QMP, err = in.listen(QMPSocket(vm)); err != nil {
		return Files{}, err
	}
	if files.Console, err = in.listen(ConsoleSocket(vm)); err != nil {
		return Files{}, err
	}
	for _, tap := range taps {
		fds := TapFDs{Tap: in.add(tap)}
		// Without a usable device, QEMU 7.2 aborts when it is told vhost=on: only what opens is handed on.
		if vhost, err := os.OpenFile("/dev/vhost-net", os.O_RDWR, 0); err == nil {
			fds.Vhost = in.addOwn(vhost)
		}
		files.Taps = append(files.Taps, fds)
	}
	in.env = tapsEnv(vm, taps)
	if files.Agent, err = in.listen(AgentSocket(vm)); err != nil {
		return Files{}, err
	}
	if files.RunDir, err = in.inheritRunDir(vm); err != nil {
		return Files{}, err
	}
	files.Devices = FindDevices(vm)
	files.UEFI, err = FindUEFI(vm)
	return files, err
}

// TapsVariable is a variable in the environment of a QEMU that has taps: each with its bridge, as in "tap0=virbr0 tap1=br1".
// The kernel forgets the bridge of a tap when that is removed; root reads it here (netsetup's, of the same name).
const TapsVariable = "QLAUNCH_TAPS"

// tapsEnv is that variable. taps has one for each bridge NIC, in order.
func tapsEnv(vm vms.VM, taps []*os.File) []string {
	var words []string
	for _, n := range vm.NICs {
		if n.Type == vms.NICBridge && len(words) < len(taps) {
			words = append(words, filepath.Base(taps[len(words)].Name())+"="+n.Bridge)
		}
	}
	if len(words) == 0 {
		return nil
	}
	return []string{TapsVariable + "=" + strings.Join(words, " ")}
}

// inheritRunDir hands the run directory on where a display's socket has a longer name than fits into an address: see shorten.
func (in *inheritance) inheritRunDir(vm vms.VM) (int, error) {
	if vm.Display.Type == vms.DisplayNone || len(DisplaySocket(vm)) <= longestSocket {
		return 0, nil
	}
	dir, err := os.OpenFile(vm.RunDir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return 0, err
	}
	return in.addOwn(dir), nil
}

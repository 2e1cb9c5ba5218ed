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

// listen creates a socket for QEMU to listen on. Clients can connect from now on. QEMU gets only the descriptor:
// given a path, it would unlink the file there first.
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

// longestSocket is the maximal length of a path in a socket address, in bytes; the address has 108 with the final
// zero (unix(7)).
const longestSocket = 107

// shorten returns a name of a path that fits into a socket address: a longer path goes through its directory, which
// must stay open as long as the name is used.
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

// inheritedFiles are the open files that a QEMU inherits, in order from descriptor 3 on.
type inheritedFiles struct {
	env   []string // environment variables
	files []*os.File
	own   []*os.File // to be closed by us
}

func (in *inheritedFiles) add(f *os.File) int {
	in.files = append(in.files, f)
	return 2 + len(in.files)
}

func (in *inheritedFiles) addOwn(f *os.File) int {
	in.own = append(in.own, f)
	return in.add(f)
}

// listen adds a socket for QEMU to listen on.
func (in *inheritedFiles) listen(path string) (int, error) {
	socket, err := listen(path)
	if err != nil {
		return 0, err
	}
	return in.addOwn(socket), nil
}

// close closes our copies, so that the taps and the listening sockets are gone when QEMU ends.
func (in *inheritedFiles) close() {
	for _, f := range in.own {
		_ = f.Close()
	}
	in.own = nil
}

func inherit(vm vms.VM, taps []*os.File, in *inheritedFiles) (Files, error) {
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
		// QEMU 7.2 aborts on vhost=on if the device cannot be used, so it is passed only if it can be opened.
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

// TapsVariable is an environment variable of a QEMU with taps: each tap with its bridge, as in "tap0=virbr0
// tap1=br1". The kernel forgets the bridge of a tap when the bridge is removed; root then reads it here (netsetup's,
// of the same name).
const TapsVariable = "QLAUNCH_TAPS"

// tapsEnv returns the variable. taps has one tap for each bridged NIC, in order.
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

// inheritRunDir passes the run directory to QEMU if the path of the display's socket does not fit into a socket
// address: see shorten.
func (in *inheritedFiles) inheritRunDir(vm vms.VM) (int, error) {
	if vm.Display.Type == vms.DisplayNone || len(DisplaySocket(vm)) <= longestSocket {
		return 0, nil
	}
	dir, err := os.OpenFile(vm.RunDir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return 0, err
	}
	return in.addOwn(dir), nil
}

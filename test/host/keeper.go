package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// name is the argument 0 by which Main knows that it is to be the keeper.
const name = "qlaunch-host"

// What the caller tells the keeper, a word of JSON each.
const (
	boot = "boot" // switch the host on
	cut  = "cut"  // take its power away
)

// event is what the keeper tells the caller.
type event struct {
	Up    int    `json:",omitempty"` // the host has booted, and this is its process 1, as the keeper sees it
	Down  bool   `json:",omitempty"` // the host is off
	Error string `json:",omitempty"` // the keeper cannot go on
}

// keeper holds a host and the world around it.
type keeper struct {
	Tree    string // of the release
	Dir     string // of the place
	out     *json.Encoder
	console *os.File // for all that is said by those that the keeper runs
	power   *power
}

// Main is the keeper: when args are those that Start gave it, it keeps the host
// until the caller is gone, and returns true. In any other program it returns
// false at once.
func Main(args []string, console *os.File) bool {
	if len(args) != 2 || args[0] != name || os.Getpid() != 1 {
		return false
	}
	control := os.NewFile(3, "control")
	k := &keeper{out: json.NewEncoder(control), console: console}
	err := json.Unmarshal([]byte(args[1]), k)
	if err == nil {
		err = k.keep(control)
	}
	if err != nil {
		_ = k.out.Encode(event{Error: err.Error()}) // an error means that the caller is gone
	}
	return true
}

// keep makes the surroundings of the host and then obeys. The end of control is
// the caller's end, and then it is this process's, and with it that of every
// process in its namespace.
func (k *keeper) keep(control io.Reader) error {
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"mount", k.mounts},
		{"make /dev/net/tun", k.tun},
		{"make the outside", func() error { return outside(k.console) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	k.power = &power{dir: k.Dir, console: k.console, tell: func(e event) { _ = k.out.Encode(e) }}
	for orders := json.NewDecoder(control); ; {
		var order string
		if err := orders.Decode(&order); err != nil {
			return nil //nolint:nilerr // see above
		}
		if err := k.power.obey(order); err != nil {
			return fmt.Errorf("%s: %w", order, err)
		}
	}
}

// mounts makes the file systems around the host and, in the place's root, that
// of the host itself. Nothing of them is seen outside of this namespace.
func (k *keeper) mounts() error {
	upper, work := filepath.Join(k.Dir, "upper"), filepath.Join(k.Dir, "work")
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}{
		{target: "/", flags: unix.MS_REC | unix.MS_PRIVATE},
		{source: "overlay", target: filepath.Join(k.Dir, "root"), kind: "overlay",
			// Volatile: nobody needs it after a crash of this machine, so nothing waits for the disk.
			data: fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,volatile", k.Tree, upper, work)},
		{source: "dev", target: filepath.Join(k.Dir, "dev"), kind: "tmpfs", data: "mode=755"},
		{source: "proc", target: "/proc", kind: "proc"},
		// systemd-nspawn keeps its locks and sockets there.
		{source: "run", target: "/run", kind: "tmpfs", flags: unix.MS_NOSUID | unix.MS_NODEV, data: "mode=755"},
		{source: "cgroup2", target: "/sys/fs/cgroup", kind: "cgroup2"},
	} {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("%s: %w", m.target, err)
		}
	}
	return nil
}

// tun makes the device node for the host: anyone may open it, as udev has it on
// real ones, whatever its mode is on this machine.
func (k *keeper) tun() error {
	file := filepath.Join(k.Dir, "dev", "tun")
	// The numbers are those of the kernel's Documentation/admin-guide/devices.txt.
	err := unix.Mknod(file, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200)))
	return errors.Join(err, os.Chmod(file, 0o666)) // the umask took its part
}

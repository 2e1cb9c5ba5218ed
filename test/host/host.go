package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Host is a Debian machine. Its methods are for one caller at a time.
type Host struct {
	place   *place
	keeper  *exec.Cmd
	control *os.File
	events  chan event // closed when the keeper has ended
	leader  int        // the host's process 1, as the keeper sees it; 0 when it is off
}

// Start makes a host of a release and boots it; script is the path of build. It
// returns when systemd on the host has started everything that it is to start.
func Start(ctx context.Context, r Release, script string) (*Host, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("only root can make hosts")
	}
	tree, err := r.tree(ctx, script)
	if err != nil {
		return nil, err
	}
	p, err := newPlace(filepath.Dir(filepath.Dir(tree)))
	if err != nil {
		return nil, fmt.Errorf("make a place: %w", err)
	}
	h := &Host{place: p, events: make(chan event)}
	if err := h.keep(ctx, tree); err != nil {
		return nil, errors.Join(fmt.Errorf("start the keeper: %w", err), p.remove())
	}
	if err := h.Boot(ctx); err != nil {
		return nil, errors.Join(err, h.Console(), h.Close())
	}
	return h, nil
}

// keep starts the keeper.
func (h *Host) keep(ctx context.Context, tree string) error {
	spec, err := json.Marshal(keeper{Tree: tree, Dir: h.place.dir})
	if err != nil {
		return err
	}
	ours, its, err := socketPair()
	if err != nil {
		return err
	}
	defer its.Close()
	console, err := os.Create(h.place.path("console.log"))
	if err != nil {
		return errors.Join(err, ours.Close())
	}
	defer console.Close()
	group, err := os.Open(h.place.cgroup)
	if err != nil {
		return errors.Join(err, ours.Close())
	}
	defer group.Close()
	// Its end is that of control, not of the context, which is for Start alone.
	h.keeper = exec.CommandContext(context.WithoutCancel(ctx), "/proc/self/exe")
	h.keeper.Args = []string{name, string(spec)}
	h.keeper.Env = []string{"GORACE=atexit_sleep_ms=0"}
	h.keeper.Stdout, h.keeper.Stderr = console, console
	h.keeper.ExtraFiles = []*os.File{its}
	h.keeper.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC,
		UseCgroupFD: true, CgroupFD: int(group.Fd()),
		// Made when the process is in its cgroup already, the namespace begins there.
		Unshareflags: unix.CLONE_NEWCGROUP,
	}
	if err := h.keeper.Start(); err != nil {
		return errors.Join(err, ours.Close())
	}
	h.control = ours
	go h.hear() // until the keeper ends
	return nil
}

// socketPair is the two ends of the caller's talk with the keeper.
func socketPair() (ours, its *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	// Only what does not block can be closed while it is being read.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "keeper"), os.NewFile(uintptr(fds[1]), "control"), nil
}

// hear passes on what the keeper tells.
func (h *Host) hear() {
	defer close(h.events)
	for in := json.NewDecoder(h.control); ; {
		var e event
		if in.Decode(&e) != nil {
			return
		}
		h.events <- e
	}
}

// next waits for the keeper to tell that the host is up, or down.
func (h *Host) next(ctx context.Context, up bool) error {
	for {
		select {
		case e, ok := <-h.events:
			switch {
			case !ok:
				return errors.New("the keeper has ended")
			case e.Error != "":
				return errors.New(e.Error)
			}
			h.leader = e.Up
			if up == (e.Up > 0) {
				return nil
			}
			if e.Down {
				return errors.New("the host is off")
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Boot switches the host on, and returns when it has booted.
func (h *Host) Boot(ctx context.Context) error {
	if err := json.NewEncoder(h.control).Encode(boot); err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	if err := h.next(ctx, true); err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	return nil
}

// Reboot reboots the host, as root does it.
func (h *Host) Reboot(ctx context.Context) error {
	return h.systemctl(ctx, "reboot", true)
}

// PowerOff switches the host off, as root does it.
func (h *Host) PowerOff(ctx context.Context) error {
	return h.systemctl(ctx, "poweroff", false)
}

// systemctl is a command that ends the system, after which the host is up again
// or not.
func (h *Host) systemctl(ctx context.Context, verb string, up bool) error {
	argv := h.Enter("systemctl", verb)
	// It may be killed by what it asks for.
	text, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err := h.next(ctx, up); err != nil {
		return fmt.Errorf("%s: %w\n%s", verb, err, text)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w\n%s", verb, err, text)
	}
	return nil
}

// Cut takes the power away: no process of the host gets to do anything more.
func (h *Host) Cut(ctx context.Context) error {
	if err := json.NewEncoder(h.control).Encode(cut); err != nil {
		return fmt.Errorf("cut: %w", err)
	}
	if err := h.next(ctx, false); err != nil {
		return fmt.Errorf("cut: %w", err)
	}
	return nil
}

// Console is what the host has written to its console.
func (h *Host) Console() error {
	text, err := os.ReadFile(h.place.path("console.log"))
	return errors.Join(fmt.Errorf("console:\n%s", text), err)
}

// Close ends every process of the host's and of its outside, and removes all
// that it left.
func (h *Host) Close() error {
	err := h.control.Close()
	for range h.events { // what it still tells
	}
	_ = h.keeper.Wait() // when process 1 is gone, so are all others
	return errors.Join(err, h.place.remove())
}

// pid is the keeper's, for nsenter.
func (h *Host) pid() string { return strconv.Itoa(h.keeper.Process.Pid) }

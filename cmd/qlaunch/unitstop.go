package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
	"github.com/qlaunch/qlaunch/vms"
)

// unitStopCmd is what ExecStop of qlaunch@.service runs. systemd runs it after an
// end that QEMU came to by itself too: then there is nothing to do.
type unitStopCmd struct {
	Name string `arg:"" vm:"" help:"A VM."`
}

// unitPatience is the most that a guest is given by ExecStop. With the rungs that follow it stays within
// TimeoutStopSec, and that within what the user manager is given when the host goes down.
const unitPatience = 80 * time.Second

func (c *unitStopCmd) Run(ctx context.Context, s *session) error {
	pid, _ := strconv.Atoi(s.getenv("MAINPID"))
	if pid == 0 {
		return nil
	}
	if err := c.stop(ctx, s, pid); err != nil {
		return fmt.Errorf("down %s: %w", c.Name, err)
	}
	return nil
}

func (c *unitStopCmd) stop(ctx context.Context, s *session, pid int) error {
	vm, err := s.managed(c.Name)
	if isA[*noVMError](err) || isA[vms.Errors](err) {
		vm, err = s.bare(c.Name), nil // removed or broken since; what runs is ended all the same
	}
	if err != nil {
		return err
	}
	lock, err := c.lock(ctx, s, vm)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no run directory: systemd ends what is left
	}
	if err != nil {
		return err
	}
	if !runsAs(vm, pid) { // who held the lock has ended it
		return lock.Release()
	}
	way := shutdown{
		patience: min(time.Duration(vm.Shutdown.Timeout), unitPatience),
		tell:     func(text string) { _ = systemd.Notify(s.getenv("NOTIFY_SOCKET"), systemd.Status(text)) },
	}
	return errors.Join(s.end(ctx, vm, way), lock.Release())
}

// lock waits for the VM's lock. A `qlaunch down` that holds it may take as long as its user
// said, so systemd is asked for more time as long as it does.
func (c *unitStopCmd) lock(ctx context.Context, s *session, vm vms.VM) (*qemu.Lock, error) {
	const every, more = 20 * time.Second, 60 * time.Second
	for {
		waiting, cancel := context.WithTimeout(ctx, every)
		lock, err := qemu.Acquire(waiting, vm, qemu.CommandDown)
		cancel()
		if !errors.Is(err, qemu.ErrBusy) || ctx.Err() != nil {
			return lock, err
		}
		_ = systemd.Notify(s.getenv("NOTIFY_SOCKET"), fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", more.Microseconds()+unitPatience.Microseconds()))
	}
}

// runsAs tells whether a VM's QEMU is the process of a number.
func runsAs(vm vms.VM, pid int) bool {
	process, err := qemu.Find(vm)
	if err != nil {
		return false
	}
	defer process.Close()
	return process.PID == pid
}

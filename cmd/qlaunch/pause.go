package main

import (
	"context"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/qmp"
)

// monitorTimeout is how long QEMU may take to do what it is told on its monitor.
const monitorTimeout = 5 * time.Second

type pauseCmd struct{ running }

func (pauseCmd) Help() string {
	return "Stops the guest's processors; it keeps its memory and its place. A VM that is paused already is no error. Exit code 3: it does not run."
}

func (pauseCmd) Example() string { return "qlaunch pause guestvm" }

func (c *pauseCmd) Run(ctx context.Context, s *session) error {
	return c.tell(ctx, s, "pause", qemu.Pause)
}

type resumeCmd struct{ running }

func (resumeCmd) Help() string {
	return "Lets a guest go on that was paused: by the user, or by QEMU because a disk was full. Wakes one that sleeps. A VM that is not paused is no error. Exit code 3: it does not run."
}

func (resumeCmd) Example() string { return "qlaunch resume guestvm" }

func (c *resumeCmd) Run(ctx context.Context, s *session) error {
	return c.tell(ctx, s, "resume", qemu.Resume)
}

type resetCmd struct {
	Names []string `arg:"" vm:"" name:"name" help:"VMs."`
}

func (resetCmd) Help() string {
	return "Presses the reset button: the guest starts anew at once, and what it had not written to its disks is lost. " +
		"A guest that panicked runs again; one that was paused stays so. Exit code 3: it does not run."
}

func (resetCmd) Example() string { return "qlaunch reset guestvm" }

func (c *resetCmd) Run(ctx context.Context, s *session) error {
	return s.tell(ctx, c.Names, "reset", qemu.Reset)
}

// tell tells the VMs' QEMUs something, all side by side.
func (r *running) tell(ctx context.Context, s *session, what string, order func(context.Context, *qmp.Monitor) error) error {
	names, err := r.names(s, what)
	if err != nil {
		return err
	}
	return s.tell(ctx, names, what, order)
}

func (s *session) tell(ctx context.Context, names []string, what string, order func(context.Context, *qmp.Monitor) error) error {
	return atOnce(once(names), func(_ int, name string) error {
		vm, err := s.managed(name)
		if err != nil {
			return err
		}
		return onMonitor(ctx, vm, monitorTimeout, order)
	}, what)
}

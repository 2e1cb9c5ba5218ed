package main

import (
	"context"

	"github.com/qlaunch/qlaunch/launcher"
)

type pauseCmd struct{ running }

func (pauseCmd) Help() string {
	return "Stops the guest's processors; it keeps its memory and its place. A VM that is paused already is no error. Exit code 3: it does not run."
}

func (pauseCmd) Example() string { return "qlaunch pause guestvm" }

func (c *pauseCmd) Run(ctx context.Context, s *session) error {
	return c.atOnce(ctx, s, "pause", launcher.Pause)
}

type resumeCmd struct{ running }

func (resumeCmd) Help() string {
	return "Lets a guest go on that was paused: by the user, or by QEMU because a disk was full. Wakes one that sleeps. A VM that is not paused is no error. Exit code 3: it does not run."
}

func (resumeCmd) Example() string { return "qlaunch resume guestvm" }

func (c *resumeCmd) Run(ctx context.Context, s *session) error {
	return c.atOnce(ctx, s, "resume", launcher.Resume)
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
	return atOnce(once(c.Names), func(_ int, name string) error { return launcher.Reset(ctx, s.env, name) }, "reset")
}

// atOnce calls do for all VMs at the same time.
func (r *running) atOnce(ctx context.Context, s *session, what string,
	do func(context.Context, *launcher.Env, string) error) error {
	names, err := r.names(s, what)
	if err != nil {
		return err
	}
	return atOnce(names, func(_ int, name string) error { return do(ctx, s.env, name) }, what)
}

package main

import (
	"context"

	"github.com/qlaunch/qlaunch/launcher"
)

// unitStartCmd is ExecStart of qlaunch@.service. It leaves QEMU running as the unit's main process.
type unitStartCmd struct {
	Name string `arg:"" vm:"" help:"A VM."`
}

func (c *unitStartCmd) Run(ctx context.Context, s *session) error {
	return launcher.UnitStart(ctx, s.env, launcher.UnitStartRequest{Name: c.Name, Judge: verdict, Clean: clean})
}

// unitStopCmd is ExecStop of qlaunch@.service. systemd also runs it after QEMU has ended by itself; it then does
// nothing.
type unitStopCmd struct {
	Name string `arg:"" vm:"" help:"A VM."`
}

func (c *unitStopCmd) Run(ctx context.Context, s *session) error {
	return launcher.UnitStop(ctx, s.env, c.Name)
}

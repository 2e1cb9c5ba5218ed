package main

import (
	"context"

	"github.com/qlaunch/qlaunch/launcher"
)

// unitStartCmd is what ExecStart of qlaunch@.service runs. It leaves QEMU behind as the unit's main process.
type unitStartCmd struct {
	Name string `arg:"" vm:"" help:"A VM."`
}

func (c *unitStartCmd) Run(ctx context.Context, s *session) error {
	return launcher.UnitStart(ctx, s.env, launcher.UnitStartRequest{Name: c.Name, Judge: verdict, Clean: clean})
}

// unitStopCmd is what ExecStop of qlaunch@.service runs. systemd runs it also after an end that QEMU came to by itself:
// then there is nothing to do.
type unitStopCmd struct {
	Name string `arg:"" vm:"" help:"A VM."`
}

func (c *unitStopCmd) Run(ctx context.Context, s *session) error {
	return launcher.UnitStop(ctx, s.env, c.Name)
}

package main

import (
	"context"
	"errors"

	"github.com/qlaunch/qlaunch/launcher"
)

type logsCmd struct {
	Name   string `arg:"" vm:"" help:"A VM."`
	QEMU   bool   `name:"qemu" help:"QEMU's own messages in place of the guest's console."`
	Follow bool   `short:"f" help:"Keep printing new output until the VM stops."`
}

func (logsCmd) Help() string {
	return "All output of the guest's serial console since the VM was started last. On a terminal, control characters are shown as escapes; in a pipe they pass as they are."
}

func (logsCmd) Example() string { return "qlaunch logs guestvm -f" }

func (c *logsCmd) Run(ctx context.Context, s *session) error {
	err := launcher.Logs(ctx, s.env, launcher.LogsRequest{Name: c.Name, QEMU: c.QEMU, Follow: c.Follow, Out: s.stdout})
	if c.Follow && errors.Is(err, launcher.ErrInterrupted) {
		return exitError(exitInterrupted) // the usual end, which needs no words
	}
	return of("logs", c.Name, err)
}

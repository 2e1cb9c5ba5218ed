package main

import (
	"context"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

type downCmd struct {
	running
	Force   bool         `short:"f" help:"Do not ask the guest: QMP quit, then SIGTERM, then SIGKILL."`
	Timeout vms.Duration `help:"How long the guest may take to shut down. Default: the definition's [shutdown] timeout."`
}

func (downCmd) Help() string {
	return "Tells the guest's agent, if one answers, to shut down; 5 s later presses the power button, and again after 5 s; and when the time is over ends QEMU: by QMP quit, then SIGTERM, then SIGKILL. " +
		"A guest that is paused runs for that. Says so when asking was not enough. A VM that does not run is no error. With --force it does not wait for other commands on the VM."
}

func (downCmd) Example() string { return "qlaunch down guestvm --timeout 30s" }

func (c *downCmd) Run(ctx context.Context, s *session) error {
	names, err := c.names(s, "down")
	if err != nil {
		return err
	}
	return s.downAll(ctx, names, "down", launcher.DownRequest{Force: c.Force, Timeout: time.Duration(c.Timeout)})
}

// downAll shuts down all VMs at the same time, with the same options.
func (s *session) downAll(ctx context.Context, names []string, what string, r launcher.DownRequest) error {
	return atOnce(names, func(_ int, name string) error {
		r := r
		r.Name = name
		return launcher.Down(ctx, s.env, r)
	}, what)
}

package main

import (
	"context"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

type waitCmd struct {
	Name    string        `arg:"" vm:"" help:"A VM."`
	For     launcher.Goal `enum:"running,ip,ssh,agent,stopped" required:"" help:"What to wait for: ${enum}."`
	Timeout vms.Duration  `default:"60s" help:"How long, at most 24h."`
}

func (waitCmd) Help() string {
	return "Exit code 124 when the time is over. For ip, ssh and agent (the guest agent), a VM that does not run is waited for too; one that ends meanwhile is an error."
}

func (waitCmd) Example() string { return "qlaunch wait guestvm --for stopped --timeout 2m" }

func (c *waitCmd) Run(ctx context.Context, s *session) error {
	err := launcher.Wait(ctx, s.env, launcher.WaitRequest{Name: c.Name, For: c.For, Timeout: time.Duration(c.Timeout)})
	return of("wait", c.Name, err)
}

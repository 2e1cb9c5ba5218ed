package main

import (
	"context"

	"github.com/qlaunch/qlaunch/launcher"
)

type disableCmd struct {
	Names []string `arg:"" vm:"" name:"name" help:"VMs, each by its name."`
	Now   bool     `help:"Shut them down now, too."`
}

func (disableCmd) Help() string {
	return "VMs then start only on request. Works even if the definition was deleted."
}

func (disableCmd) Example() string { return "qlaunch disable guestvm" }

func (c *disableCmd) Run(ctx context.Context, s *session) error {
	names := once(c.Names)
	if err := launcher.Disable(ctx, s.env, names); err != nil {
		return perName("disable", names, err)
	}
	if !c.Now {
		return nil
	}
	return s.downAll(ctx, names, "disable", launcher.DownRequest{})
}

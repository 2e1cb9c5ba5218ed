package main

import (
	"context"
	"fmt"

	"github.com/qlaunch/qlaunch/launcher"
)

type viewCmd struct {
	Name string `arg:"" vm:"" help:"A VM."`
}

func (viewCmd) Help() string {
	return "Runs a viewer that is installed: remote-viewer for a spice display, TigerVNC's for a vnc one. " +
		"A VM has a display when [display] in its definition gives it one."
}

func (viewCmd) Example() string { return "qlaunch view guestvm" }

func (c *viewCmd) Run(ctx context.Context, s *session) error {
	viewer, err := launcher.View(ctx, s.env, c.Name)
	if err == nil {
		err = s.become(viewer)
	}
	return fmt.Errorf("view %s: %w", c.Name, err)
}

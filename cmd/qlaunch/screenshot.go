package main

import (
	"context"

	"github.com/qlaunch/qlaunch/launcher"
)

type screenCmd struct {
	Name string `arg:"" vm:"" help:"A VM."`
	File string `arg:"" help:"The PNG file to write."`
}

func (screenCmd) Help() string {
	return "Writes what the VM's display shows. A VM has a display when [display] in its definition gives it one."
}

func (screenCmd) Example() string { return "qlaunch screenshot guestvm guestvm.png" }

func (c *screenCmd) Run(ctx context.Context, s *session) error {
	err := launcher.Screenshot(ctx, s.env, c.Name, c.File)
	if isA[*launcher.PathsError](err) {
		err = &usageError{err, "screenshot"}
	}
	return of("screenshot", c.Name, err)
}

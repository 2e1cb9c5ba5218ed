package main

import (
	"context"
	"strings"

	"github.com/qlaunch/qlaunch/launcher/unit"
	"github.com/qlaunch/qlaunch/vms"
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
	for _, name := range names {
		if err := vms.CheckName(name); err != nil {
			return of("disable", name, &definitionError{err})
		}
	}
	manager, err := s.needManager()
	if err != nil {
		return of("disable", strings.Join(names, " "), err)
	}
	err = each(names, func(name string) error { return manager.Disable(ctx, unit.Name(name)) }, "disable")
	if err != nil || !c.Now {
		return err
	}
	down := downCmd{}
	return atOnce(names, func(_ int, name string) error { return down.one(ctx, s, name) }, "disable")
}

package main

import (
	"fmt"

	"github.com/qlaunch/qlaunch/launcher"
)

// trimCmd is for a timer: every other command that looks at a VM trims its logs too.
type trimCmd struct{}

func (trimCmd) Help() string {
	return "Cuts each log that has grown beyond 16 MiB down to its last 8 MiB, as every command does with the logs of the VMs that it looks at."
}

func (trimCmd) Example() string { return "qlaunch trim" }

func (trimCmd) Run(s *session) error {
	names, err := launcher.Names(s.env)
	if err != nil {
		return fmt.Errorf("trim: %w", err)
	}
	return each(names, func(name string) error { return launcher.Trim(s.env, name) }, "trim")
}

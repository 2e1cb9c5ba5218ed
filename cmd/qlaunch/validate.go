package main

import (
	"fmt"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

type validateCmd struct {
	Names []string `arg:"" optional:"" vm:"" name:"name" help:"VMs, each by its name or by the path of its TOML file. Without any: all."`
}

func (validateCmd) Help() string {
	return "Reports every mistake with its file, line and column. Says nothing when there is none."
}

func (validateCmd) Example() string { return "qlaunch validate ./guestvm.toml" }

func (c *validateCmd) Run(s *session) error {
	names := c.Names
	if len(names) == 0 {
		all, err := s.env.Store.Names()
		if err != nil {
			return fmt.Errorf("validate: %w", err)
		}
		names = all
	}
	var failed failures
	for _, name := range names {
		err := launcher.Validate(s.env, name)
		switch {
		case err == nil:
		case isA[vms.Errors](err):
			failed = append(failed, err) // each line names its file
		default:
			failed = append(failed, fmt.Errorf("validate %s: %w", name, err))
		}
	}
	return failed.err()
}

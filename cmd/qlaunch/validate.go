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
		if err := s.validate(name); err != nil {
			failed = append(failed, err)
		}
	}
	return failed.err()
}

func (s *session) validate(name string) error {
	vm, err := launcher.Load(s.env, name)
	if err == nil {
		err = s.env.Store.Clash(vm)
	}
	if isA[vms.Errors](err) {
		return err // each line names its file
	}
	if err != nil {
		return fmt.Errorf("validate %s: %w", name, err)
	}
	return nil
}

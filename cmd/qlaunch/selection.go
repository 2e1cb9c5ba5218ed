package main

import (
	"errors"

	"github.com/qlaunch/qlaunch/launcher"
)

// running is the VMs of a command that is for those that run.
type running struct {
	Names []string `arg:"" optional:"" vm:"" name:"name" help:"VMs."`
	All   bool     `short:"a" help:"All running VMs."`
}

// names are the VMs that were asked for by the words of a command line.
func (r *running) names(s *session, command string) ([]string, error) {
	return chosen(r.Names, r.All, command, func() ([]string, error) { return launcher.RunningNames(s.env) })
}

// chosen are names that were typed, or all that there are: one of the two has to be asked for.
func chosen(names []string, all bool, command string, every func() ([]string, error)) ([]string, error) {
	switch {
	case all && len(names) > 0:
		return nil, &usageError{errors.New("--all: takes no names"), command}
	case all:
		return every()
	case len(names) == 0:
		return nil, &usageError{errors.New(`expected "<name> ..." or --all`), command}
	}
	return once(names), nil
}

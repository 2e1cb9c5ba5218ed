package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/qlaunch/qlaunch/launcher"
)

// running selects the VMs of a command that works on running VMs.
type running struct {
	Names []string `arg:"" optional:"" vm:"" name:"name" help:"VMs."`
	All   bool     `short:"a" help:"All running VMs."`
}

// names returns the VMs that a command line selects.
func (r *running) names(s *session, command string) ([]string, error) {
	return chosen(r.Names, r.All, command, func() ([]string, error) { return launcher.RunningNames(s.env) })
}

// chosen returns the names that were typed, or all that exist: the command line must have one of the two.
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

// once returns the names as they were typed, without repetitions.
func once(names []string) []string {
	var unique []string
	for _, name := range names {
		if !slices.Contains(unique, name) {
			unique = append(unique, name)
		}
	}
	return unique
}

// of adds the command and the name that was typed to an error; nil stays nil.
func of(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, name, err)
}

// each calls do for each name in turn; a failure does not stop it.
func each(names []string, do func(name string) error, what string) error {
	var failed failures
	for _, name := range names {
		if err := of(what, name, do(name)); err != nil {
			failed = append(failed, err)
		}
	}
	return failed.err()
}

// atOnce calls do for all names at the same time; a failure does not stop the others.
func atOnce(names []string, do func(i int, name string) error, what string) error {
	errs := make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { errs[i] = do(i, name) })
	}
	all.Wait()
	var failed failures
	for i, err := range errs {
		if err != nil {
			failed = append(failed, of(what, names[i], err))
		}
	}
	return failed.err()
}

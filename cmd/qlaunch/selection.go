package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"

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

// once is the names as they were typed, without repetitions.
func once(names []string) []string {
	var unique []string
	for _, name := range names {
		if !slices.Contains(unique, name) {
			unique = append(unique, name)
		}
	}
	return unique
}

// of is the error of a command, with the word for that and the name that was typed; nil stays nil.
func of(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, name, err)
}

// each does something for one name after the other; a failure does not stop it.
func each(names []string, do func(name string) error, what string) error {
	var failed failures
	for _, name := range names {
		if err := of(what, name, do(name)); err != nil {
			failed = append(failed, err)
		}
	}
	return failed.err()
}

// atOnce does something for all names side by side; a failure does not stop the others.
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

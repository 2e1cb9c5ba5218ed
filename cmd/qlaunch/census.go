package main

import (
	"maps"
	"os"
	"slices"

	"github.com/qlaunch/qlaunch/launcher"
)

// census is the VMs that there are: those that are defined, and those that run without a definition in its place.
type census struct {
	names   []string                   // sorted
	known   map[string]bool            // those with a run directory: none without one runs, but for orphans
	orphans map[string]launcher.Orphan // those whose QEMU cannot be reached
}

func (s *session) census() (census, error) {
	names, err := s.store.Names()
	if err != nil {
		return census{}, err
	}
	entries, err := os.ReadDir(s.store.Dirs.Runtime)
	if err != nil && !os.IsNotExist(err) {
		return census{}, err
	}
	defined, known := names, map[string]bool{}
	for _, entry := range entries {
		known[entry.Name()] = true
		if _, found := slices.BinarySearch(defined, entry.Name()); found {
			continue
		}
		if started, err := s.store.Started(entry.Name()); err == nil && launcher.IsRunning(started) {
			names = append(names, entry.Name())
		}
	}
	orphans, err := s.orphans()
	if err != nil {
		return census{}, err
	}
	names = slices.AppendSeq(names, maps.Keys(orphans))
	slices.Sort(names)
	return census{slices.Compact(names), known, orphans}, nil
}

// mayRun tells whether a VM has anything that would be there if it ran.
func (c census) mayRun(name string) bool {
	_, orphan := c.orphans[name]
	return orphan || c.known[name]
}

// names are the names of a census.
func (s *session) names() ([]string, error) {
	c, err := s.census()
	return c.names, err
}

package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// census is the VMs that there are: those that are defined, and those that run without a definition in its place.
type census struct {
	names   []string               // sorted
	known   map[string]bool        // those with a run directory, here or, with a QEMU, elsewhere
	orphans map[string]qemu.Orphan // those whose QEMU cannot be reached
	qemus   []qemu.QEMU            // those of this user, also of VMs that are not its own here
}

func (s *session) census() (census, error) {
	names, err := s.store.Names()
	if err != nil {
		return census{}, err
	}
	if err := qemu.CheckRunDir(filepath.Join(s.store.Dirs.Runtime, "any")); err != nil {
		return census{}, err
	}
	entries, err := os.ReadDir(s.store.Dirs.Runtime)
	if err != nil && !os.IsNotExist(err) {
		return census{}, err
	}
	c := census{known: map[string]bool{}, orphans: map[string]qemu.Orphan{}}
	for _, entry := range entries {
		c.known[entry.Name()] = true
	}
	if c.qemus, err = s.qemus(); err != nil {
		return census{}, err
	}
	mine := slices.DeleteFunc(slices.Clone(c.qemus), func(q qemu.QEMU) bool { return !s.has(q) })
	for _, q := range mine {
		c.known[q.Name] = true
	}
	for _, o := range qemu.Orphans(mine) {
		c.orphans[o.Name] = o
	}
	for name := range c.known {
		if _, defined := slices.BinarySearch(names, name); !defined && s.runs(name, c) {
			c.names = append(c.names, name)
		}
	}
	c.names = slices.AppendSeq(append(c.names, names...), maps.Keys(c.orphans))
	slices.Sort(c.names)
	c.names = slices.Compact(c.names)
	return c, nil
}

// has tells whether a QEMU is that of a VM which this user has here.
func (s *session) has(q qemu.QEMU) bool {
	return filepath.Dir(q.RunDir) == s.store.Dirs.Runtime || q.IsOf(s.bare(q.Name))
}

// runs tells whether a VM without a definition runs, and can be reached.
func (s *session) runs(name string, c census) bool {
	at, err := qemu.Locate(s.bare(name), func() ([]qemu.QEMU, error) { return c.qemus, nil })
	if err != nil {
		return false
	}
	started, err := s.store.Started(name, at.RunDir)
	return err == nil && qemu.IsRunning(started)
}

// mayRun tells whether a VM has anything that would be there if it ran.
func (c census) mayRun(name string) bool {
	_, orphan := c.orphans[name]
	return orphan || c.known[name]
}

// orphan is the QEMU of a VM that cannot be reached, if it has one.
func (c census) orphan(vm vms.VM) (qemu.Orphan, bool, error) {
	o, ok := c.orphans[vm.Name]
	return o, ok, nil
}

// with is a session that takes the QEMUs of a census for those that there are, in place of a look of its own for each VM.
func (c census) with(s *session) *session {
	own := *s
	own.qemus = func() ([]qemu.QEMU, error) { return c.qemus, nil }
	return &own
}

// names are the names of a census.
func (s *session) names() ([]string, error) {
	c, err := s.census()
	return c.names, err
}

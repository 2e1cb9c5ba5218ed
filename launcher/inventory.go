package launcher

import (
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// Names gives the names of all VMs, sorted: of those that are defined, and of those that run without a definition in
// its place.
func Names(e *Env) ([]string, error) {
	all, err := takeInventory(e)
	return all.names, err
}

// RunningNames gives the names of the VMs that run, sorted. Orphans, whose QEMU cannot be reached, are among them.
func RunningNames(e *Env) ([]string, error) {
	all, err := takeInventory(e)
	e = e.with(all.qemus)
	return slices.DeleteFunc(all.names, func(name string) bool {
		_, orphan := all.orphans[name]
		at, err := locate(e, name)
		return !orphan && err == nil && !qemu.IsRunning(at)
	}), err
}

// inventory is the VMs that there are, with one look at the host for all of them.
type inventory struct {
	names   []string               // sorted
	known   map[string]bool        // those with a run directory, here or, with a QEMU, elsewhere
	orphans map[string]qemu.Orphan // those whose QEMU cannot be reached
	qemus   []qemu.QEMU            // those of this user, also of VMs that are not defined here
}

func takeInventory(e *Env) (inventory, error) {
	names, err := e.Store.Names()
	if err != nil {
		return inventory{}, err
	}
	if err := qemu.CheckRunDir(filepath.Join(e.Store.Dirs.Runtime, "any")); err != nil {
		return inventory{}, err
	}
	entries, err := os.ReadDir(e.Store.Dirs.Runtime)
	if err != nil && !os.IsNotExist(err) {
		return inventory{}, err
	}
	all := inventory{known: map[string]bool{}, orphans: map[string]qemu.Orphan{}}
	for _, entry := range entries {
		all.known[entry.Name()] = true
	}
	if all.qemus, err = e.QEMUs(); err != nil {
		return inventory{}, err
	}
	here := slices.DeleteFunc(slices.Clone(all.qemus), func(q qemu.QEMU) bool {
		return filepath.Dir(q.RunDir) != e.Store.Dirs.Runtime && !q.IsOf(bareVM(e, q.Name))
	})
	for _, q := range here {
		all.known[q.Name] = true
	}
	for _, o := range qemu.Orphans(here) {
		all.orphans[o.Name] = o
	}
	for name := range all.known {
		if _, defined := slices.BinarySearch(names, name); !defined && runsUndefined(e, name, all) {
			all.names = append(all.names, name)
		}
	}
	all.names = slices.AppendSeq(append(all.names, names...), maps.Keys(all.orphans))
	slices.Sort(all.names)
	all.names = slices.Compact(all.names)
	return all, nil
}

// runsUndefined tells whether a VM without a definition runs, and can be reached.
func runsUndefined(e *Env, name string, all inventory) bool {
	at, err := qemu.Locate(bareVM(e, name), func() ([]qemu.QEMU, error) { return all.qemus, nil })
	if err != nil {
		return false
	}
	startedAs, err := e.Store.Started(name, at.RunDir)
	return err == nil && qemu.IsRunning(startedAs)
}

// mayRun tells whether a VM has anything that would be there if it ran.
func (all inventory) mayRun(name string) bool {
	_, orphan := all.orphans[name]
	return orphan || all.known[name]
}

// orphan is the QEMU of a VM that cannot be reached, if it has one.
func (all inventory) orphan(vm vms.VM) (qemu.Orphan, bool, error) {
	o, ok := all.orphans[vm.Name]
	return o, ok, nil
}

package launcher

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// List tells what each VM does that is defined or runs, sorted by name. A VM whose definition cannot be used has the
// state Invalid. brief leaves out what a table has no room for: the unit, and what has changed in the definition.
func List(ctx context.Context, e *Env, brief bool) ([]Info, error) {
	there, err := takeInventory(e)
	if err != nil {
		return nil, err
	}
	s := newSurvey(e.with(there.qemus), there.orphan)
	s.brief = brief
	return s.lookAtAll(ctx, there), nil
}

// lookAtAll reads VMs by turns, and asks those that run side by side, so that one that does not answer delays no
// other. Those that may run come first, and one processor is left to their answers, if there are any: the runtime
// looks for what has come only when it has nothing else to do, or after 10 ms.
func (s *survey) lookAtAll(ctx context.Context, there inventory) []Info {
	all := make([]Info, len(there.names))
	var known, rest []int
	for i, name := range there.names {
		if there.mayRun(name) {
			known = append(known, i)
		} else {
			rest = append(rest, i)
		}
	}
	var asking sync.WaitGroup
	readers := cap(s.turns)
	if len(known) > 0 {
		readers = max(1, readers-1)
	}
	share(readers, known, func(i int) {
		vm, err := current(s.env, there.names[i])
		tell := func() { all[i] = s.orInvalid(ctx, there.names[i], vm, err) }
		if err != nil || !qemu.IsRunning(vm) {
			tell()
			return
		}
		asking.Go(tell)
	})
	share(readers, rest, func(i int) { all[i] = s.atRest(ctx, there.names[i]) })
	asking.Wait()
	return all
}

// share has some workers do something with each element of a list.
func share(workers int, list []int, do func(int)) {
	var last atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := int(last.Add(1)) - 1; i < len(list); i = int(last.Add(1)) - 1 {
				do(list[i])
			}
		})
	}
	all.Wait()
}

// orInvalid is what a VM does, also where its definition cannot be used.
func (s *survey) orInvalid(ctx context.Context, name string, vm vms.VM, err error) Info {
	var info Info
	if err == nil {
		info, err = s.lookAt(ctx, name, vm)
	}
	if err != nil {
		return s.invalid(name, err)
	}
	return info
}

// atRest is what a VM does that has no run directory, nor a QEMU among this user's processes. Its lock is asked all the
// same: QEMU may have been started since those were looked at, or in another pid namespace.
func (s *survey) atRest(ctx context.Context, name string) Info {
	vm, err := Load(s.env, name)
	switch {
	case err != nil:
		return s.invalid(name, err)
	case qemu.IsHeld(vm):
		vm, err = current(s.env, name)
		return s.orInvalid(ctx, name, vm, err)
	}
	return infoOf(vm, qemu.Status{State: qemu.Stopped})
}

// invalid is what is known of a VM whose definition cannot be used.
func (s *survey) invalid(name string, err error) Info {
	return Info{Name: name, State: Invalid, File: s.env.Store.Path(name), Error: err.Error()}
}

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

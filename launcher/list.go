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

// List returns the state of each VM that is defined or runs, sorted by name. A VM whose definition cannot be used has
// the state Invalid. With brief, the unit and the changes of the definition are not looked up.
func List(ctx context.Context, e *Env, brief bool) ([]Info, error) {
	there, err := takeInventory(e)
	if err != nil {
		return nil, err
	}
	s := newSurvey(e.with(there.qemus), there.orphan)
	s.brief = brief
	return s.lookAtAll(ctx, there), nil
}

// lookAtAll reads the VMs' definitions a few at a time, and queries the running VMs concurrently, so that one that
// does not respond delays no other. VMs that may run come first, and one processor is reserved for their replies, if
// there are any: the Go runtime polls the network only when it is idle, or after 10 ms.
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

// share calls do for each element of a list, with several workers.
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

// orInvalid returns the state of a VM, also if its definition cannot be used.
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

// atRest returns the state of a VM that has neither a run directory nor a QEMU among this user's processes. It still
// checks the lock: QEMU may have been started since the processes were listed, or in another pid namespace.
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

// invalid returns what is known about a VM whose definition cannot be used.
func (s *survey) invalid(name string, err error) Info {
	return Info{Name: name, State: Invalid, File: s.env.Store.Path(name), Error: err.Error()}
}

// Names returns the names of all VMs, sorted: of those that are defined, and of those that run without a definition.
func Names(e *Env) ([]string, error) {
	all, err := takeInventory(e)
	return all.names, err
}

// RunningNames returns the names of the running VMs, sorted, including orphans, whose QEMU cannot be reached.
func RunningNames(e *Env) ([]string, error) {
	all, err := takeInventory(e)
	e = e.with(all.qemus)
	return slices.DeleteFunc(all.names, func(name string) bool {
		_, orphan := all.orphans[name]
		at, err := locate(e, name)
		return !orphan && err == nil && !qemu.IsRunning(at)
	}), err
}

// inventory is a list of all VMs, with one look at the host for all of them.
type inventory struct {
	names   []string               // sorted
	known   map[string]bool        // those with a run directory, in the usual place or, with a QEMU, elsewhere
	orphans map[string]qemu.Orphan // those whose QEMU cannot be reached
	qemus   []qemu.QEMU            // those of this user, including VMs that are not defined
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

// runsUndefined reports whether a VM without a definition runs and can be reached.
func runsUndefined(e *Env, name string, all inventory) bool {
	at, err := qemu.Locate(bareVM(e, name), func() ([]qemu.QEMU, error) { return all.qemus, nil })
	if err != nil {
		return false
	}
	startedAs, err := e.Store.Started(name, at.RunDir)
	return err == nil && qemu.IsRunning(startedAs)
}

// mayRun reports whether a VM has anything that a running VM would have.
func (all inventory) mayRun(name string) bool {
	_, orphan := all.orphans[name]
	return orphan || all.known[name]
}

// orphan returns the QEMU of a VM that cannot be reached, if it has one.
func (all inventory) orphan(vm vms.VM) (qemu.Orphan, bool, error) {
	o, ok := all.orphans[vm.Name]
	return o, ok, nil
}

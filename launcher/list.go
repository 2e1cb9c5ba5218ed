package launcher

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/netsetup/lease"
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

// survey is a look at many VMs. What belongs to the whole host is asked once for all of them, when the first needs
// it, and what takes a processor takes turns: a thousand definitions that are read at the same time would keep an
// answer of QEMU's waiting until its deadline is over.
type survey struct {
	env    *Env
	orphan func(vms.VM) (qemu.Orphan, bool, error) // the QEMU of a VM that cannot be reached, if it has one
	turns  chan struct{}
	brief  bool // the unit and the changes of the definition are not looked at

	loose     func() []string // the host's taps that are a port of no bridge
	mu        sync.Mutex
	snapshots map[string]func() lease.Picture // by the bridge, and what was looked at
}

func newSurvey(e *Env, orphan func(vms.VM) (qemu.Orphan, bool, error)) *survey {
	return &survey{env: e, orphan: orphan, turns: make(chan struct{}, runtime.GOMAXPROCS(0)),
		snapshots: map[string]func() lease.Picture{}, loose: sync.OnceValue(netsetup.LooseTaps)}
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

// work does what takes a processor. Nothing in it may wait for anybody.
func (s *survey) work(do func()) {
	s.turns <- struct{}{}
	defer func() { <-s.turns }()
	do()
}

// snapshot is what the sources of addresses hold for a bridge.
func (s *survey) snapshot(ctx context.Context, bridge string) lease.Picture {
	return s.once(bridge, func() lease.Picture { return lease.Survey(ctx, s.env.Root, bridge) })
}

// wholeSnapshot is the snapshot with the lease file that the bridge's server was told to keep, for which every
// process of the host has to be looked at.
func (s *survey) wholeSnapshot(ctx context.Context, bridge string) lease.Picture {
	return s.once(bridge+"/server", func() lease.Picture { // no bridge has a slash in its name
		return s.snapshot(ctx, bridge).With(ctx, s.env.Root, serverLeases(s.env, bridge))
	})
}

// once takes a snapshot unless it has been taken.
func (s *survey) once(key string, snapshot func() lease.Picture) lease.Picture {
	s.mu.Lock()
	take, ok := s.snapshots[key]
	if !ok {
		take = sync.OnceValue(snapshot)
		s.snapshots[key] = take
	}
	s.mu.Unlock()
	return take()
}

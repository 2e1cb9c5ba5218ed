package main

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

// vista is a look at many VMs: what is the whole host's is asked once for all of them, when the first
// needs it, and what takes a processor takes turns. Else a thousand definitions that are read at the same time
// would keep an answer of QEMU's waiting until its deadline is over.
type vista struct {
	s      *session
	orphan func(vms.VM) (qemu.Orphan, bool, error) // the QEMU of a VM that cannot be reached, if it has one
	turns  chan struct{}
	brief  bool // what a table has no room for is not looked at: the unit, and what has changed in the definition

	loose    func() []string // the host's taps that are a port of no bridge
	mu       sync.Mutex
	pictures map[string]func() lease.Picture // by the bridge, and what was looked at
}

func newVista(s *session, orphan func(vms.VM) (qemu.Orphan, bool, error)) *vista {
	return &vista{s: s, orphan: orphan, turns: make(chan struct{}, runtime.GOMAXPROCS(0)), pictures: map[string]func() lease.Picture{},
		loose: sync.OnceValue(netsetup.LooseTaps)}
}

// lookAtAll reads VMs by turns, and asks those that run side by side, so that one that does not answer delays no other.
// Those that may run come first, and one processor is left to their answers, if there are any: the runtime looks for
// what has come only when it has nothing else to do, or after 10 ms.
func (v *vista) lookAtAll(ctx context.Context, c census) []overview {
	all := make([]overview, len(c.names))
	var known, rest []int
	for i, name := range c.names {
		if c.mayRun(name) {
			known = append(known, i)
		} else {
			rest = append(rest, i)
		}
	}
	var asking sync.WaitGroup
	readers := cap(v.turns)
	if len(known) > 0 {
		readers = max(1, readers-1)
	}
	share(readers, known, func(i int) {
		vm, err := v.s.managed(c.names[i])
		tell := func() { all[i] = v.orInvalid(ctx, c.names[i], vm, err) }
		if err != nil || !qemu.IsRunning(vm) {
			tell()
			return
		}
		asking.Go(tell)
	})
	share(readers, rest, func(i int) { all[i] = v.atRest(ctx, c.names[i]) })
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

// orInvalid is the overview of a VM, be it that its definition cannot be used.
func (v *vista) orInvalid(ctx context.Context, name string, vm vms.VM, err error) overview {
	var o overview
	if err == nil {
		o, err = v.lookAt(ctx, name, vm)
	}
	if err != nil {
		return v.unusable(name, err)
	}
	return o
}

// atRest is the overview of a VM that has no run directory, nor a QEMU among this user's processes. Its lock is asked all the
// same: QEMU may have been started since those were looked at, or in another pid namespace.
func (v *vista) atRest(ctx context.Context, name string) overview {
	vm, err := v.s.load(name)
	switch {
	case err != nil:
		return v.unusable(name, err)
	case qemu.IsHeld(vm):
		vm, err = v.s.managed(name)
		return v.orInvalid(ctx, name, vm, err)
	}
	return overviewOf(vm, qemu.Status{State: qemu.Stopped})
}

// unusable is the overview of a VM whose definition cannot be used.
func (v *vista) unusable(name string, err error) overview {
	return overview{Name: name, State: invalid, File: v.s.store.Path(name), Error: err.Error()}
}

// work does what takes a processor. Nothing in it may wait for anybody.
func (v *vista) work(do func()) {
	v.turns <- struct{}{}
	defer func() { <-v.turns }()
	do()
}

// picture is what the sources of addresses hold for a bridge.
func (v *vista) picture(ctx context.Context, bridge string) lease.Picture {
	return v.once(bridge, func() lease.Picture { return lease.Survey(ctx, v.s.root, bridge) })
}

// wholePicture is the picture with the lease file that the bridge's server was told to keep, for which every process of
// the host has to be looked at.
func (v *vista) wholePicture(ctx context.Context, bridge string) lease.Picture {
	return v.once(bridge+"/server", func() lease.Picture { // no bridge has a slash in its name
		return v.picture(ctx, bridge).With(ctx, v.s.root, v.s.serverLeases(bridge))
	})
}

// once takes a picture unless it has been taken.
func (v *vista) once(key string, picture func() lease.Picture) lease.Picture {
	v.mu.Lock()
	take, ok := v.pictures[key]
	if !ok {
		take = sync.OnceValue(picture)
		v.pictures[key] = take
	}
	v.mu.Unlock()
	return take()
}

package main

import (
	"context"
	"runtime"
	"sync"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/netsetup/leases"
)

// vista is a look at many VMs: what is the whole host's is asked once for all of them, when the first
// needs it, and what takes a processor takes turns. Else a thousand definitions that are read at the same time
// would keep an answer of QEMU's waiting until its deadline is over.
type vista struct {
	s       *session
	orphans func() (map[string]launcher.Orphan, error) // the VMs whose QEMU cannot be reached
	turns   chan struct{}

	mu       sync.Mutex
	pictures map[string]func() leases.Picture // by the bridge
}

func newVista(s *session, orphans func() (map[string]launcher.Orphan, error)) *vista {
	return &vista{s: s, orphans: orphans, turns: make(chan struct{}, runtime.GOMAXPROCS(0)), pictures: map[string]func() leases.Picture{}}
}

// work does what takes a processor. Nothing in it may wait for anybody.
func (v *vista) work(do func()) {
	v.turns <- struct{}{}
	defer func() { <-v.turns }()
	do()
}

// picture is what the sources of addresses hold for a bridge.
func (v *vista) picture(ctx context.Context, bridge string) leases.Picture {
	v.mu.Lock()
	take, ok := v.pictures[bridge]
	if !ok {
		take = sync.OnceValue(func() leases.Picture { return leases.Survey(ctx, v.s.root, bridge) })
		v.pictures[bridge] = take
	}
	v.mu.Unlock()
	return take()
}

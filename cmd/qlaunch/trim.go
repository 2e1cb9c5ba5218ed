package main

import (
	"context"
	"fmt"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// trimCmd is for a timer: every other command that looks at a VM cuts its logs too.
type trimCmd struct{}

func (trimCmd) Help() string {
	return "Cuts each log that has grown beyond 16 MiB down to its last 8 MiB, as every command does with the logs of the VMs that it looks at."
}

func (trimCmd) Example() string { return "qlaunch trim" }

func (trimCmd) Run(s *session) error {
	names, err := s.names()
	if err != nil {
		return fmt.Errorf("trim: %w", err)
	}
	return each(names, func(name string) error { return qemu.TrimLogs(s.bare(name)) }, "trim")
}

// trimEvery is the time between two looks of a command that stays.
const trimEvery = time.Minute

// trimming cuts a VM's logs as long as a command stays with it. The caller must call the function that it returns.
func trimming(ctx context.Context, vm vms.VM) func() {
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(trimEvery)
		defer tick.Stop()
		for {
			_ = qemu.TrimLogs(vm) // a log that cannot be cut is no reason to leave
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		stop()
		<-done
	}
}

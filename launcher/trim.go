package launcher

import (
	"context"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// QEMU writes the logs itself, and no process of ours stays beside it, so each function that looks at a VM trims its
// logs.

// Trim trims each log of a VM that has grown beyond 16 MiB to its last 8 MiB. It is for a timer: every other look at
// a VM does the same.
func Trim(e *Env, name string) error { return qemu.TrimLogs(bareVM(e, name)) }

// trimEvery is the interval at which a function that keeps looking at a VM trims its logs.
const trimEvery = time.Minute

// trimming trims a VM's logs regularly until the returned function is called.
func trimming(ctx context.Context, vm vms.VM) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(trimEvery)
		defer tick.Stop()
		for {
			_ = qemu.TrimLogs(vm) // a failure to trim the logs does not end the function
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

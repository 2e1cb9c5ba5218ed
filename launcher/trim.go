package launcher

import (
	"context"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// QEMU writes the logs itself, and nothing of ours stays beside it, so each function that looks at a VM cuts its logs.

// Trim cuts each log of a VM that has grown beyond 16 MiB down to its last 8 MiB. It is for a timer: every other look
// at a VM does the same.
func Trim(e *Env, name string) error { return qemu.TrimLogs(bareVM(e, name)) }

// trimEvery is the time between two cuts by a function that stays with a VM.
const trimEvery = time.Minute

// trimming cuts a VM's logs until the function is called that it returns.
func trimming(ctx context.Context, vm vms.VM) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
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
		cancel()
		<-done
	}
}

package launcher

import (
	"context"
	"errors"
	"sync"

	"github.com/fsnotify/fsnotify"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// watchConsole reports the first byte on a VM's serial console, from the firmware, or from the kernel if the firmware
// is silent. It watches the console log until ctx ends; the returned function waits for the end of the watch.
func watchConsole(ctx context.Context, vm vms.VM, reached func(string)) (wait func()) {
	nothing := func() {}
	if qemu.MakeDirs(vm) != nil {
		return nothing // the start reports the reason
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nothing // only the report is missing
	}
	// The start renames the old file, so its directory is watched.
	if err := watcher.Add(vm.StateDir); err != nil {
		_ = watcher.Close()
		return nothing
	}
	var watching sync.WaitGroup
	watching.Go(func() {
		defer watcher.Close()
		if written(ctx, watcher, qemu.ConsoleLog(vm)) {
			reached("first byte on the console")
		}
	})
	return watching.Wait
}

// written waits until a file is written to, or ctx ends.
func written(ctx context.Context, watcher *fsnotify.Watcher, file string) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case e, ok := <-watcher.Events:
			if !ok || e.Name == file && e.Has(fsnotify.Write) {
				return ok
			}
		case err := <-watcher.Errors: // an error that is not read blocks all events after it
			if !errors.Is(err, fsnotify.ErrEventOverflow) { // if events were lost, the next byte causes another
				return false
			}
		}
	}
}

package launcher

import (
	"context"
	"errors"
	"sync"

	"github.com/fsnotify/fsnotify"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// watchConsole tells of the first byte on a VM's serial console: the firmware's, or where that is silent, the
// kernel's. It watches the file that QEMU logs the console to, until ctx ends; the function that it returns waits for
// that.
func watchConsole(ctx context.Context, vm vms.VM, reached func(string)) (wait func()) {
	nothing := func() {}
	if qemu.MakeDirs(vm) != nil {
		return nothing // the start says why
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nothing // one line less
	}
	// The start puts the file aside, so its directory is watched.
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
		case err := <-watcher.Errors: // one that nobody reads holds up all events behind it
			if !errors.Is(err, fsnotify.ErrEventOverflow) { // after lost events the next byte tells
				return false
			}
		}
	}
}

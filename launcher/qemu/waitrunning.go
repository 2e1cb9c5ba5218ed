package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/fsnotify/fsnotify"

	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

// WaitRunning waits until a VM's QEMU responds, or returns ctx's cause. It returns the VM with the run directory of
// that QEMU. QEMU writes its pid file after it has locked it, which is the event that WaitRunning waits for; a start
// writes the run directory into the data directory.
func WaitRunning(ctx context.Context, vm vms.VM) (vms.VM, error) {
	if err := MakeDirs(vm); err != nil {
		return vm, err
	}
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return vm, fmt.Errorf("watch %s: %w", vm.RunDir, err)
	}
	defer watch.Close()
	if err := watch.Add(vm.DataDir); err != nil {
		return vm, fmt.Errorf("watch %s: %w", vm.DataDir, err)
	}
	for {
		if dir, _, _ := readRunning(vm); dir != "" && CheckRunDir(dir) == nil {
			vm.RunDir = dir
		}
		if err := watch.Add(vm.RunDir); err != nil { // a second call has no effect
			return vm, fmt.Errorf("watch %s: %w", vm.RunDir, err)
		}
		err := responds(ctx, vm)
		if !errors.Is(err, ErrNotRunning) {
			return vm, err
		}
		if err := nextChange(ctx, watch, vm.RunDir); err != nil {
			return vm, err
		}
	}
}

// nextChange waits until something has changed in a watched directory, or until events were lost, so that something
// may have. When a directory is removed its watch ends, and there would be no further events.
func nextChange(ctx context.Context, watch *fsnotify.Watcher, dir string) error {
	var err error
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case event, ok := <-watch.Events:
		switch {
		case !ok:
			err = fsnotify.ErrClosed
		case event.Name == dir && event.Has(fsnotify.Remove):
			err = fs.ErrNotExist
		}
	case err = <-watch.Errors:
		if errors.Is(err, fsnotify.ErrEventOverflow) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	return nil
}

// responds returns nil if QEMU responds; if QEMU ends instead, the VM does not run.
func responds(ctx context.Context, vm vms.VM) error {
	p, err := Find(vm)
	if err != nil {
		return err
	}
	defer p.Close()
	err = greet(ctx, vm, p)
	// A QEMU that creates its sockets itself has its lock before the sockets, and the monitor's socket before that of
	// the console, whose creation is the last event.
	if errors.Is(err, ErrEnded) || qmp.IsGone(err) {
		return ErrNotRunning
	}
	return err
}

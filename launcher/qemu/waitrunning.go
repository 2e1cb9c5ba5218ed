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

// WaitRunning waits until a VM's QEMU answers, or returns ctx's cause, and gives the VM with the run directory that it
// has. QEMU writes its pid file when it has locked it, which is the event waited for; which run directory that is in,
// a start writes into the data directory.
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
		if err := watch.Add(vm.RunDir); err != nil { // a second time changes nothing
			return vm, fmt.Errorf("watch %s: %w", vm.RunDir, err)
		}
		err := answers(ctx, vm)
		if !errors.Is(err, ErrNotRunning) {
			return vm, err
		}
		if err := nextChange(ctx, watch, vm.RunDir); err != nil {
			return vm, err
		}
	}
}

// nextChange waits until something has changed in a watched directory, or until events were lost, which means that
// something may have. A directory that is removed takes its watch along: nothing would ever be heard of it again.
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

// answers tells whether QEMU answers; one that ends instead does not run.
func answers(ctx context.Context, vm vms.VM) error {
	p, err := Find(vm)
	if err != nil {
		return err
	}
	defer p.Close()
	err = greet(ctx, vm, p)
	// A QEMU that makes its sockets itself has its lock before it has them, and
	// the monitor's before that of the console, whose making is the last event.
	if errors.Is(err, ErrEnded) || qmp.IsGone(err) {
		return ErrNotRunning
	}
	return err
}

package launcher

import (
	"context"
	"errors"
	"fmt"

	"github.com/fsnotify/fsnotify"

	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

// WaitRunning waits until a VM's QEMU holds its lock and answers, or returns
// ctx's cause. QEMU writes its pid file when it has locked it, which is the event waited for.
func WaitRunning(ctx context.Context, vm vms.VM) error {
	if err := MakeDirs(vm); err != nil {
		return err
	}
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", vm.RunDir, err)
	}
	defer watch.Close()
	if err := watch.Add(vm.RunDir); err != nil {
		return fmt.Errorf("watch %s: %w", vm.RunDir, err)
	}
	for {
		err := answers(ctx, vm)
		if !errors.Is(err, ErrNotRunning) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case _, ok := <-watch.Events:
			if !ok {
				return fmt.Errorf("watch %s: %w", vm.RunDir, fsnotify.ErrClosed)
			}
		case err := <-watch.Errors:
			return fmt.Errorf("watch %s: %w", vm.RunDir, err)
		}
	}
}

// answers tells whether QEMU answers; one that ends instead does not run.
func answers(ctx context.Context, vm vms.VM) error {
	p, err := Find(vm)
	if err != nil {
		return err
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(ctx, greetDeadline)
	defer cancel()
	ctx, done := p.Context(ctx)
	defer done()
	m, err := qmp.Dial(ctx, QMPSocket(vm))
	if errors.Is(context.Cause(ctx), ErrEnded) {
		return ErrNotRunning
	}
	if err != nil {
		return err
	}
	return m.Close()
}

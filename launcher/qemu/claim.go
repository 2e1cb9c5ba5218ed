package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

// Claim is MakeDirs and Acquire in one, for a command that makes or removes
// what is a VM's: a removal that was waited for has taken the directories with
// it, and they are made again. What the caller knew of the definition before may be no more.
func Claim(ctx context.Context, vm vms.VM, command Command) (*Lock, error) {
	for {
		if err := MakeDirs(vm); err != nil && !errors.Is(err, errRemoved) {
			return nil, err
		}
		lock, err := Acquire(ctx, vm, command)
		switch {
		case errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil:
			continue // a removal was between the two
		case err != nil:
			return nil, err
		}
		if err := MakeDirs(vm); err != nil {
			return nil, errors.Join(err, lock.Release())
		}
		return lock, nil
	}
}

// Retire gives a lock back for good, with its file and the data directory: the
// last step of a removal. Until the file is gone nobody else gets the lock, and
// who gets it then has a file, and perhaps a directory, of its own, which stays.
func (l *Lock) Retire() error {
	err := os.Remove(l.file.Name())
	_ = os.Remove(filepath.Dir(l.file.Name())) // not when it is in use again
	return errors.Join(err, l.Release())
}

// settle waits for a QEMU whose qlaunch was killed while it started it, and that
// cannot be found by its pid file yet, until it can, or has ended: else it would be
// taken for none, and its files from it. The monitor's socket tells: QEMU
// inherits it, and the kernel refuses connections once nobody has it open. One
// that has removed its pid file, and is about to end, is waited for as well.
func settle(ctx context.Context, vm vms.VM) error {
	dir, _, err := readRunning(vm)
	if err != nil {
		return err
	}
	if dir != "" {
		vm.RunDir = dir
	}
	if pidFileLocked(vm) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, greetDeadline)
	defer cancel()
	m, err := qmp.Dial(ctx, QMPSocket(vm))
	if err == nil {
		return m.Close()
	}
	if ctx.Err() != nil {
		return fmt.Errorf("a QEMU whose start was broken off does not answer: %w", err)
	}
	_, err = unreached(vm)
	return err
}

package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

// ErrBusy means that another command held a VM's lock until the deadline.
var ErrBusy = errors.New("another command is at work on this VM")

// Acquire waits for a VM's lock until ctx ends; then the error wraps ErrBusy
// and names the command that holds it. command is the word for the caller's own,
// by which others get to know it: one of the Command constants. The VM's
// directories must be there (MakeDirs).
func Acquire(ctx context.Context, vm vms.VM, command Command) (*Lock, error) {
	path := lockFile(vm)
	for {
		lock, err := tryLock(path)
		if err != nil {
			return nil, err
		}
		if lock != nil {
			return lock.ready(ctx, vm, command)
		}
		if err := waitUnlocked(ctx, path); err != nil {
			return nil, busy(vm, err)
		}
	}
}

// busyError is ErrBusy with the command that holds the lock, where that can be told, and the end of the wait.
type busyError struct {
	holder string
	cause  error
}

func busy(vm vms.VM, cause error) error {
	h, ok := AtWork(vm)
	if !ok { // it ended this moment, or works in another pid namespace
		return &busyError{cause: cause}
	}
	return &busyError{h.String(), cause}
}

func (e *busyError) Error() string {
	if e.holder == "" {
		return ErrBusy.Error()
	}
	return ErrBusy.Error() + ": " + e.holder
}

func (e *busyError) Unwrap() []error { return []error{ErrBusy, e.cause} }

// ready is the lock as its holder works with it: signed, and no QEMU still on its way.
func (l *Lock) ready(ctx context.Context, vm vms.VM, command Command) (*Lock, error) {
	if err := sign(l.file, command); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", l.file.Name(), err), l.file.Close())
	}
	err := settle(ctx, vm)
	if err == nil && command.Starts() {
		l.definition, err = holdDefinition(ctx, vm)
	}
	if err != nil {
		return nil, errors.Join(err, l.Release())
	}
	return l, nil
}

// holdDefinition locks the definition of a VM that is to be started, for which it waits until ctx ends. Two starts with different data
// directories have no other file in common, and would not see each other's QEMU before it is there. Where there is no file, or
// its file system has no locks, there is nothing to hold. The lock is flock(2)'s, which takes a file that is open for reading.
func holdDefinition(ctx context.Context, vm vms.VM) (*os.File, error) {
	f, err := os.OpenFile(vm.File, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // the definition is read again after this, and says so
	}
	isHeld := func() bool { return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK) }
	if !isHeld() {
		return f, nil
	}
	if err := waitFree(ctx, vm.File, unix.IN_CLOSE|unix.IN_DELETE_SELF, isHeld); err != nil {
		return nil, errors.Join(&busyError{cause: err}, f.Close())
	}
	return f, nil
}

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

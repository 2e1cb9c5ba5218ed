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

// Acquire waits for a VM's lock until ctx ends; then the error wraps ErrBusy and names the command that holds the
// lock. command is the caller's own, one of the Command constants, which other commands can read. The VM's
// directories must exist (MakeDirs).
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

// busyError is ErrBusy with the command that holds the lock, if known, and the cause of the end of the wait.
type busyError struct {
	holder string
	cause  error
}

func busy(vm vms.VM, cause error) error {
	h, ok := LockHolder(vm)
	if !ok { // it has just ended, or runs in another pid namespace
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

// ready prepares the lock for its holder: it writes the holder into the file and waits until no QEMU is starting.
func (l *Lock) ready(ctx context.Context, vm vms.VM, command Command) (*Lock, error) {
	if err := sign(l.file, command); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", l.file.Name(), err), l.file.Close())
	}
	err := waitStarting(ctx, vm)
	if err == nil && command.Starts() {
		l.definition, err = holdDefinition(ctx, vm)
	}
	if err != nil {
		return nil, errors.Join(err, l.Release())
	}
	return l, nil
}

// holdDefinition locks the definition of a VM that is to be started, and waits for that until ctx ends. Two starts
// with different data directories have no other file in common, and would not see each other's QEMU before it runs.
// Without a file, or on a file system without locks, nothing is locked. It uses flock(2), which works for a file that
// is open for reading.
func holdDefinition(ctx context.Context, vm vms.VM) (*os.File, error) {
	f, err := os.OpenFile(vm.File, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // the definition is read again later, which returns the error
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

// MakeAndAcquire calls MakeDirs and Acquire, for a command that creates or removes a VM's files: if it had to wait
// for a removal, the directories are gone, and it makes them again. The caller must read the definition again.
func MakeAndAcquire(ctx context.Context, vm vms.VM, command Command) (*Lock, error) {
	for {
		if err := MakeDirs(vm); err != nil && !errors.Is(err, errRemoved) {
			return nil, err
		}
		lock, err := Acquire(ctx, vm, command)
		switch {
		case errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil:
			continue // a removal came between the two
		case err != nil:
			return nil, err
		}
		if err := MakeDirs(vm); err != nil {
			return nil, errors.Join(err, lock.Release())
		}
		return lock, nil
	}
}

// ReleaseAndRemove releases a lock and removes its file and the data directory: the last step of a removal. Nobody
// else gets the lock before the file is gone, and the next holder has a file, and perhaps a directory, of its own,
// which stay.
func (l *Lock) ReleaseAndRemove() error {
	err := os.Remove(l.file.Name())
	_ = os.Remove(filepath.Dir(l.file.Name())) // fails if it is in use again
	return errors.Join(err, l.Release())
}

// waitStarting waits for a QEMU whose qlaunch was killed while starting it, until the QEMU can be found by its pid
// file or has ended; otherwise the QEMU would be overlooked and its files removed. It checks the monitor's socket:
// QEMU inherits it, and the kernel refuses connections once no process has it open. It also waits for a QEMU that has
// removed its pid file and is about to end.
func waitStarting(ctx context.Context, vm vms.VM) error {
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

package qemu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/qlaunch/qlaunch/vms"
)

// ErrConsoleTaken means that another client of ours is connected to the VM's serial console.
var ErrConsoleTaken = errors.New("its console is taken")

// Console is a connection to a VM's serial console, with the lock on it.
type Console struct {
	*net.UnixConn
	lock *Lock
}

// OpenConsole connects to the serial console of a running VM. QEMU's chardev serves one client and leaves the next
// one in the socket's backlog without a reply. So each client of ours also holds a lock, and the error for the next
// one wraps ErrConsoleTaken and names the process. Other clients take no lock, and make this one wait in the backlog.
func OpenConsole(ctx context.Context, vm vms.VM) (*Console, error) {
	lock, err := lockConsole(filepath.Join(vm.RunDir, consoleLockName))
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, ConsoleSocket(vm))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("console %s: %w", ConsoleSocket(vm), err), lock.Release())
	}
	return &Console{conn, lock}, nil
}

// lockConsole does not wait, since a user can keep the console open for any time.
func lockConsole(path string) (*Lock, error) {
	for {
		lock, err := tryLock(path)
		if lock != nil || err != nil {
			return lock, err
		}
		if _, held := writeLock(path); held {
			return nil, fmt.Errorf("%w: pid %s holds %s", ErrConsoleTaken, holder(path), path)
		}
	}
}

// Close disconnects, so that the next client can connect.
func (c *Console) Close() error { return errors.Join(c.UnixConn.Close(), c.lock.Release()) }

func dial(ctx context.Context, path string) (*net.UnixConn, error) {
	short, dir, err := shorten(path)
	if err != nil {
		return nil, err
	}
	if dir != nil {
		defer dir.Close()
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", short)
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return nil, op.Err // without the address, which may be the short path
	}
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

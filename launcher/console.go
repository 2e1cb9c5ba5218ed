package launcher

import (
	"context"

	"github.com/qlaunch/qlaunch/launcher/qemu"
)

// ConsoleConn is a connection to the serial console of a VM, which serves one client at a time.
type ConsoleConn struct {
	*qemu.Console
	VM       string // the VM's name, even if the request had a file
	process  *qemu.Process
	stopTrim func()
}

// Console connects to the serial console of a running VM. The error wraps qemu.ErrConsoleTaken if another client is
// connected.
func Console(ctx context.Context, e *Env, name string) (*ConsoleConn, error) {
	r, err := findRunning(e, name)
	if err != nil {
		return nil, err
	}
	console, err := qemu.OpenConsole(ctx, r.vm)
	if err != nil {
		r.process.Close()
		return nil, err
	}
	return &ConsoleConn{console, r.vm.Name, r.process, trimming(ctx, r.vm)}, nil
}

// Ended reports whether QEMU has ended, after it closed the console.
func (c *ConsoleConn) Ended(ctx context.Context) bool { return ended(ctx, c.process) }

// Close disconnects from the console, so that another client can connect.
func (c *ConsoleConn) Close() error {
	c.stopTrim()
	defer c.process.Close()
	return c.Console.Close()
}

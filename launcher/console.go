package launcher

import (
	"context"

	"github.com/qlaunch/qlaunch/launcher/qemu"
)

// ConsoleConn is a connection to the serial console of a VM, which serves one client at a time.
type ConsoleConn struct {
	*qemu.Console
	VM       string // the VM's name, also where a file was asked for
	process  *qemu.Process
	stopTrim func()
}

// Console connects to the serial console of a VM that runs. The error wraps qemu.ErrConsoleTaken where another client
// has it.
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

// Ended tells, of a console that was closed by QEMU, whether QEMU has ended.
func (c *ConsoleConn) Ended(ctx context.Context) bool { return ended(ctx, c.process) }

// Close lets the next client in.
func (c *ConsoleConn) Close() error {
	c.stopTrim()
	defer c.process.Close()
	return c.Console.Close()
}

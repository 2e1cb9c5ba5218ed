package launcher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/vms"
)

// ProxyRequest is a request for a connection to a guest's sshd.
type ProxyRequest struct {
	Name string
	At   netip.AddrPort // where the sshd responded a moment ago; the zero AddrPort: wait for it up to 30 s
	// Use is called with the connection. Its context ends when the VM ends, with the cause ErrEnded.
	Use func(ctx context.Context, conn *net.TCPConn) error
}

// Proxy connects to the sshd of a running VM and calls r.Use with the connection, which it closes afterwards.
func Proxy(ctx context.Context, e *Env, r ProxyRequest) error {
	use := func(ctx context.Context, found running, conn *net.TCPConn) error {
		defer trimming(ctx, found.vm)()
		return r.Use(ctx, conn)
	}
	return withSSHConn(ctx, e, r.Name, r.At, use)
}

// PassRequest is a request to pass a connection to a guest's sshd to the ssh that runs this program.
type PassRequest struct {
	Name   string
	At     netip.AddrPort // as in ProxyRequest
	To     *os.File       // standard output, on which ssh waits for the connection
	Stderr *os.File       // of the process that watches the session
}

// PassConnection passes a connection to the guest to ssh, which runs this program as its ProxyCommand (ProxyUseFdpass
// in ssh_config(5)), so that no process of ours copies data. ssh continues when this process has ended, so another
// process keeps running, which ends the connection when the VM ends: see [WatchSession].
func PassConnection(ctx context.Context, e *Env, r PassRequest) error {
	use := func(ctx context.Context, found running, conn *net.TCPConn) error {
		return pass(ctx, e, r, found, conn)
	}
	return withSSHConn(ctx, e, r.Name, r.At, use)
}

func withSSHConn(ctx context.Context, e *Env, name string, at netip.AddrPort,
	use func(context.Context, running, *net.TCPConn) error) error {
	found, err := findRunning(e, name)
	if err != nil {
		return err
	}
	defer found.process.Close()
	ctx, done := found.process.Context(ctx)
	defer done()
	conn, err := dialSSH(ctx, e, found.vm, at)
	if err != nil {
		return err
	}
	defer conn.Close()
	return use(ctx, found, conn)
}

// dialSSH connects to the sshd of a running VM when it responds. The error is ctx's cause if ctx ends.
func dialSSH(ctx context.Context, e *Env, vm vms.VM, at netip.AddrPort) (*net.TCPConn, error) {
	if !at.IsValid() {
		return connectSSH(ctx, e, vm)
	}
	dialing, cancel := context.WithTimeout(ctx, sshPatience)
	defer cancel()
	conn, err := netsetup.DialSSH(dialing, at)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return conn, err
}

func pass(ctx context.Context, e *Env, r PassRequest, found running, conn *net.TCPConn) error {
	socket, err := conn.File()
	if err != nil {
		return err
	}
	defer socket.Close()
	ssh, err := parent()
	if err != nil {
		return fmt.Errorf("watch the ssh that called: %w", err)
	}
	defer ssh.Close()
	// In a session of its own, the watcher does not get the terminal's Ctrl-C and Ctrl-Z. It inherits only standard
	// error, to which it may write a line: a reader of ssh's output would wait until every other inherited file is
	// closed.
	watcher := exec.CommandContext(context.WithoutCancel(ctx), e.Executable, "watch-session", found.vm.Name)
	watcher.Stderr = r.Stderr
	watcher.ExtraFiles = []*os.File{socket, found.process.Handle(), ssh}
	watcher.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := watcher.Start(); err != nil {
		return err
	}
	// The format that mm_receive_fd in OpenSSH's monitor_fdpass.c expects: one byte, with the descriptor attached.
	if err := unix.Sendmsg(int(r.To.Fd()), []byte{0}, unix.UnixRights(int(socket.Fd())), nil, 0); err != nil {
		return errors.Join(fmt.Errorf("give ssh the connection: %w", err), watcher.Process.Kill())
	}
	return watcher.Process.Release()
}

// parent returns a pidfd of the process that started this one. The process ID of a parent that has ended in the
// meantime may belong to another process, so it is checked again.
func parent() (*os.File, error) {
	pid := os.Getppid()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	if os.Getppid() != pid {
		return nil, errors.Join(errors.New("it has ended"), file.Close())
	}
	return file, nil
}

// WatchSession is the function of the process that [PassConnection] leaves running. Its descriptor 3 is the
// connection, 4 the pidfd of QEMU, and 5 that of ssh.
//
// It returns when ssh ends. If QEMU ends first, it calls ended and shuts the connection down: ssh, which then reads
// end-of-file, reports that itself, restores the terminal's modes, and exits with 255.
func WatchSession(name string, ended func()) error {
	const socket, qemu, ssh = 3, 4, 5
	fds := []unix.PollFd{{Fd: qemu, Events: unix.POLLIN}, {Fd: ssh, Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
			continue // a signal; the Go runtime sends some itself
		case err != nil:
			return fmt.Errorf("watch-session %s: %w", name, err)
		case fds[1].Revents != 0 || fds[0].Revents&unix.POLLIN == 0:
			return nil
		}
		ended()
		return unix.Shutdown(socket, unix.SHUT_RD)
	}
}

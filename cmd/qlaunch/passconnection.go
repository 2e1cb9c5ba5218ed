package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// passConnection gives ssh, which has called this program as its ProxyCommand, the connection to the guest (ProxyUseFdpass in
// ssh_config(5)): nothing of ours is between the two then. ssh goes on when this process has ended, so another one stays
// behind, which ends the connection when the VM ends.
func (s *session) passConnection(ctx context.Context, conn *net.TCPConn, process *qemu.Process, vm vms.VM) error {
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
	// In a session of its own, no Ctrl-C and no Ctrl-Z of the terminal reaches it; it gets nothing that a reader of ssh's
	// output would wait for the end of, but for standard error, where it has a line to say.
	watcher := exec.CommandContext(context.WithoutCancel(ctx), s.executable, "watch-session", vm.Name)
	watcher.Stderr = s.ownStderr
	watcher.ExtraFiles = []*os.File{socket, process.Handle(), ssh}
	watcher.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := watcher.Start(); err != nil {
		return err
	}
	out, ok := s.ownStdout.(*os.File)
	if !ok {
		return errors.New("standard output is not a file")
	}
	// As mm_receive_fd of OpenSSH's monitor_fdpass.c takes it: one byte, and the descriptor beside it.
	if err := unix.Sendmsg(int(out.Fd()), []byte{0}, unix.UnixRights(int(socket.Fd())), nil, 0); err != nil {
		return errors.Join(fmt.Errorf("give ssh the connection: %w", err), watcher.Process.Kill())
	}
	return watcher.Process.Release()
}

// parent is the process that has started this one, by a pidfd. A parent that has ended meanwhile would be another's by its
// number, so it is looked at again.
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

// watchSessionCmd is what passConnection leaves behind. Its descriptors are the connection and the pidfds of QEMU and ssh.
type watchSessionCmd struct {
	Name string `arg:"" help:"The VM."`
}

func (watchSessionCmd) Help() string {
	return "Ends an ssh session when its VM ends: descriptor 3 is its connection, 4 the pidfd of QEMU, 5 that of ssh."
}

func (watchSessionCmd) Example() string { return "qlaunch watch-session guestvm" }

// Run ends with ssh, whatever happens. A connection that can be read no more is at its end for ssh: it says so itself, gives the
// terminal its modes back, and exits 255.
func (c *watchSessionCmd) Run(_ context.Context, s *session) error {
	const socket, qemu, ssh = 3, 4, 5
	fds := []unix.PollFd{{Fd: qemu, Events: unix.POLLIN}, {Fd: ssh, Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
			continue // a signal, of which the Go runtime makes some itself
		case err != nil:
			return fmt.Errorf("watch-session %s: %w", c.Name, err)
		case fds[1].Revents != 0 || fds[0].Revents&unix.POLLIN == 0:
			return nil
		}
		s.sayEnded(c.Name)
		return unix.Shutdown(socket, unix.SHUT_RD)
	}
}

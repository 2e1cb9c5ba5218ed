package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/qlaunch/qlaunch/vms"
)

// proxyCmd is the ProxyCommand of ssh-config's entries: what it reads goes to
// the guest's sshd, and what comes from there is all that it prints.
type proxyCmd struct {
	Name string `arg:"" vm:"" help:"A VM."`
}

func (proxyCmd) Help() string {
	return "Connects standard input and output to the guest's sshd, wherever that is now. The entries of ssh-config use it."
}

func (proxyCmd) Example() string { return "qlaunch proxy guestvm" }

func (c *proxyCmd) Run(ctx context.Context, s *session) error {
	err := c.run(ctx, s)
	switch {
	case err == nil || errors.Is(err, errHungUp):
		return nil
	case ctx.Err() != nil: // by a Ctrl-C that was meant for ssh, which has its own words
		return exitError(exitInterrupted)
	}
	return fmt.Errorf("proxy %s: %w", c.Name, err)
}

func (c *proxyCmd) run(ctx context.Context, s *session) error {
	vm, err := s.managed(c.Name)
	if err != nil {
		return err
	}
	conn, err := s.dialSSH(ctx, vm)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer trimming(ctx, vm)()
	return relay(ctx, conn, s.stdin, s.stdout, func(in io.Reader) error {
		if _, err := io.Copy(conn, in); err != nil {
			return err
		}
		return conn.CloseWrite()
	})
}

// dialSSH connects to the sshd of a VM that runs, when it answers.
func (s *session) dialSSH(ctx context.Context, vm vms.VM) (*net.TCPConn, error) {
	at, err := s.sshReady(ctx, vm)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, sshPatience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", at.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

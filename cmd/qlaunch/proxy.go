package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/vms"
)

// proxyCmd is the ProxyCommand of ssh-config's entries: what it reads goes to
// the guest's sshd, and what comes from there is all that it prints. For qlaunch ssh it hands ssh the connection itself.
type proxyCmd struct {
	Name string         `arg:"" vm:"" help:"A VM."`
	At   netip.AddrPort `hidden:"" help:"Where its sshd answered a moment ago."`
	Pass bool           `hidden:"" help:"Give the connection to ssh (ProxyUseFdpass in ssh_config(5))."`
}

func (proxyCmd) Help() string {
	return "Connects standard input and output to the guest's sshd, wherever that is now, until one of them or the VM ends. The entries of ssh-config use it."
}

func (proxyCmd) Example() string { return "qlaunch proxy guestvm" }

func (c *proxyCmd) Run(ctx context.Context, s *session) error {
	err := c.run(ctx, s)
	switch {
	case err == nil || errors.Is(err, errHungUp):
		return nil
	case ctx.Err() != nil: // by a Ctrl-C that was meant for ssh, which has its own words
		return exitError(exitInterrupted)
	case errors.Is(err, launcher.ErrEnded):
		s.sayEnded(c.Name)
		return exitError(exitFailed)
	}
	return fmt.Errorf("proxy %s: %w", c.Name, err)
}

func (c *proxyCmd) run(ctx context.Context, s *session) error {
	vm, process, err := s.alive(c.Name)
	if err != nil {
		return err
	}
	defer process.Close()
	ctx, done := process.Context(ctx)
	defer done()
	conn, err := c.dial(ctx, s, vm)
	if err != nil {
		return err
	}
	defer conn.Close()
	if c.Pass {
		return s.passConnection(ctx, conn, process, vm)
	}
	defer trimming(ctx, vm)()
	return relay(ctx, conn, s.stdin, s.stdout, func(in io.Reader) error {
		if _, err := io.Copy(conn, in); err != nil {
			return err
		}
		return conn.CloseWrite()
	})
}

// dial connects to the sshd of a VM that runs, when it answers. The error is ctx's cause when that ends.
func (c *proxyCmd) dial(ctx context.Context, s *session, vm vms.VM) (*net.TCPConn, error) {
	if !c.At.IsValid() {
		return s.connectSSH(ctx, vm)
	}
	dialing, cancel := context.WithTimeout(ctx, sshPatience)
	defer cancel()
	conn, err := netsetup.DialSSH(dialing, c.At)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return conn, err
}

// sayEnded tells who has a session with a VM why that ends. ssh may have the terminal in raw mode, in which a line does not
// begin at the left by itself.
func (s *session) sayEnded(name string) {
	end := "\n"
	if s.errTerminal {
		end = "\r\n"
	}
	fmt.Fprintf(s.ownStderr, "qlaunch: %s has stopped, and with it this session%s", clean(name), end)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"

	"github.com/qlaunch/qlaunch/launcher"
)

// proxyCmd is the ProxyCommand of ssh-config's entries: it copies its standard input to the guest's sshd, and the
// replies to its standard output. For qlaunch ssh it passes the connection to ssh instead.
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
	if c.Pass {
		stdout, ok := s.ownStdout.(*os.File)
		stderr, isFile := s.ownStderr.(*os.File)
		if !ok || !isFile {
			return errors.New("standard output is not a file")
		}
		r := launcher.PassRequest{Name: c.Name, At: c.At, To: stdout, Stderr: stderr}
		return launcher.PassConnection(ctx, s.env, r)
	}
	r := launcher.ProxyRequest{Name: c.Name, At: c.At}
	r.Use = func(ctx context.Context, conn *net.TCPConn) error {
		return relay(ctx, conn, s.stdin, s.stdout, func(in io.Reader) error {
			if _, err := io.Copy(conn, in); err != nil {
				return err
			}
			return conn.CloseWrite()
		})
	}
	return launcher.Proxy(ctx, s.env, r)
}

// watchSessionCmd is the process that a proxy leaves running when it passes its connection to ssh.
type watchSessionCmd struct {
	Name string `arg:"" help:"The VM."`
}

func (watchSessionCmd) Help() string {
	return "Ends an ssh session when its VM ends: descriptor 3 is its connection, 4 the pidfd of QEMU, 5 that of ssh."
}

func (watchSessionCmd) Example() string { return "qlaunch watch-session guestvm" }

func (c *watchSessionCmd) Run(s *session) error {
	return launcher.WatchSession(c.Name, func() { s.sayEnded(c.Name) })
}

// sayEnded tells the user of a session why it ends. ssh may have put the terminal into raw mode, in which a line feed
// does not move the cursor to the first column.
func (s *session) sayEnded(name string) {
	end := "\n"
	if s.errTerminal {
		end = "\r\n"
	}
	fmt.Fprintf(s.ownStderr, "qlaunch: %s has stopped, and with it this session%s", clean(name), end)
}

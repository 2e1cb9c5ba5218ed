package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/qlaunch/qlaunch/vms"
)

type sshCmd struct {
	TTY     bool     `name:"tty" short:"t" help:"Give the command a terminal, as ssh -t does."`
	Name    string   `arg:"" vm:"" help:"A VM."`
	Command []string `arg:"" optional:"" passthrough:"" help:"What to run in the guest, after --. Without it, a shell."`
}

func (sshCmd) Help() string {
	return "Runs your own ssh with the VM's address, the definition's user, port and identity, and the VM's own file of known host keys; " +
		"what ~/.ssh/config says of that for all hosts does not count. " +
		"Waits up to 30 s for the guest's sshd. The remote command's exit code is passed through. A session ends when its VM ends, with 255."
}

func (sshCmd) Example() string { return "qlaunch ssh guestvm -- uname -a" }

// sshPatience is how long a guest may take to get an address and start its sshd.
const sshPatience = 30 * time.Second

func (c *sshCmd) Run(ctx context.Context, s *session) error {
	return fmt.Errorf("ssh %s: %w", c.Name, c.run(ctx, s))
}

// run returns only when ssh could not be started.
func (c *sshCmd) run(ctx context.Context, s *session) error {
	words, err := commandWords(c.Command, "ssh")
	if err == nil {
		err = noLogin(c.Name)
	}
	if err != nil {
		return err
	}
	vm, err := s.managed(c.Name)
	if err != nil {
		return err
	}
	program, err := exec.LookPath("ssh")
	if err != nil {
		return errors.New("ssh is not installed")
	}
	options, err := s.sessionOptions(ctx, vm)
	if err != nil {
		return err
	}
	if c.TTY { // the first value counts
		options = append([]sshOption{{"RequestTTY", "force"}}, options...)
	}
	argv := append([]string{"ssh"}, optionWords(options)...)
	argv = append(argv, "--", sshHost(vm))
	argv = append(argv, words...)
	s.showCommand(argv)
	// In ssh's place there is nothing left of ours: the terminal, the signals and the exit code are its own.
	return fmt.Errorf("%s: %w", program, syscall.Exec(program, argv, s.sshEnviron()))
}

// sessionOptions are the options of an ssh or scp that qlaunch runs, to a VM whose sshd answers by now.
func (s *session) sessionOptions(ctx context.Context, vm vms.VM) ([]sshOption, error) {
	options, err := s.sshOptions(ctx, vm)
	if err != nil {
		return nil, err
	}
	at, err := s.sshReady(ctx, vm)
	if err != nil {
		return nil, err
	}
	proxy, err := s.proxyOptions(true, "--pass", "--at", at.String(), vm.Name)
	return slices.Concat(options, ownSession(), proxy), err
}

// sshEnviron is this process's environment, but for the shell that ssh has its ProxyCommand run by: some users have one that runs
// nothing, and not each understands the quotes.
func (s *session) sshEnviron() []string {
	return append(slices.DeleteFunc(slices.Clone(s.environ), func(variable string) bool {
		return strings.HasPrefix(variable, "SHELL=")
	}), "SHELL=/bin/sh")
}

// commandWords is what to run in a guest, without the -- that sets it off. Without one, a first word that looks like an option
// is meant as one, of ssh's perhaps.
func commandWords(words []string, command string) ([]string, error) {
	switch {
	case len(words) == 0:
	case words[0] == "--":
		return words[1:], nil
	case strings.HasPrefix(words[0], "-"):
		return nil, &usageError{fmt.Errorf("%s: not an option of qlaunch %s; a command that begins with - goes behind --", words[0], command), command}
	}
	return words, nil
}

// loginError says that a user's name stands before a VM's, as in ssh's own command line.
type loginError struct{ user string }

func (e *loginError) Error() string { return "whom to log in as is in the definition" }

func (e *loginError) hint() string {
	return fmt.Sprintf("user = %q in the definition's [ssh] table", e.user)
}

// noLogin refuses a name with a user's before it.
func noLogin(ref string) error {
	if user, _, ok := strings.Cut(ref, "@"); ok && !strings.Contains(ref, "/") {
		return &loginError{user}
	}
	return nil
}

// sshReady waits until the sshd of a VM that runs answers, and says where.
func (s *session) sshReady(ctx context.Context, vm vms.VM) (netip.AddrPort, error) {
	conn, err := s.connectSSH(ctx, vm)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return conn.RemoteAddr().(*net.TCPAddr).AddrPort(), conn.Close()
}

// connectSSH waits until the sshd of a VM that runs answers, and gives the connection.
func (s *session) connectSSH(ctx context.Context, vm vms.VM) (*net.TCPConn, error) {
	g, err := s.running(vm)
	if err != nil {
		return nil, err
	}
	defer g.close()
	if err := paused(ctx, g.vm); err != nil {
		return nil, err
	}
	if _, err := s.await(ctx, g, goalSSH, sshPatience, func(string) {}); err != nil {
		return nil, err
	}
	s.noticeImpostors(vm, g.process.PID)
	conn := g.conn
	g.conn = nil
	return conn, nil
}

// running takes hold of a VM that runs.
func (s *session) running(vm vms.VM) (*guest, error) {
	process, err := reached(vm)
	if err != nil {
		return nil, err
	}
	return s.watched(&guest{vm: vm, process: process}, process.Started)
}

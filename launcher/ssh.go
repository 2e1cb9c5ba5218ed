package launcher

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/vms"
)

// Program is a program that the caller runs, in place of this process or as a child.
type Program struct {
	Path    string
	Argv    []string // with the program's name first
	Environ []string
}

// SSHRequest is a request for an ssh to a VM.
type SSHRequest struct {
	Name    string
	Command []string // what to run in the guest; empty: a shell
	TTY     bool     // allocate a terminal, like ssh -t
}

// sshPatience is how long a guest may take to get an address and start its sshd.
const sshPatience = 30 * time.Second

// SSH waits up to 30 s until the sshd of a running VM responds, and returns the user's ssh with options that connect
// to it. The terminal, signals and the exit code are left to ssh. The session ends with exit code 255 when the VM
// ends. If the request has a user name before the VM's name, the error is a [*LoginError]; if the guest is paused, a
// *qemu.PausedError.
func SSH(ctx context.Context, e *Env, r SSHRequest) (Program, error) {
	if err := checkNoLogin(r.Name); err != nil {
		return Program{}, err
	}
	vm, err := current(e, r.Name)
	if err != nil {
		return Program{}, err
	}
	program, err := exec.LookPath("ssh")
	if err != nil {
		return Program{}, errors.New("ssh is not installed")
	}
	options, err := sessionOptions(ctx, e, vm)
	if err != nil {
		return Program{}, err
	}
	if r.TTY { // the first value counts
		options = append([]sshOption{{"RequestTTY", "force"}}, options...)
	}
	argv := append([]string{"ssh"}, optionWords(options)...)
	argv = append(argv, "--", sshHost(vm))
	argv = append(argv, r.Command...)
	return Program{program, argv, sshEnviron(e)}, nil
}

// sessionOptions returns the options of an ssh or scp that qlaunch runs to a VM whose sshd responds.
func sessionOptions(ctx context.Context, e *Env, vm vms.VM) ([]sshOption, error) {
	options, err := sshOptions(ctx, e, vm)
	if err != nil {
		return nil, err
	}
	at, err := sshReady(ctx, e, vm)
	if err != nil {
		return nil, err
	}
	proxy, err := proxyOptions(e, true, "--pass", "--at", at.String(), vm.Name)
	return slices.Concat(options, ownSession(), proxy), err
}

// sshEnviron returns this process's environment with another SHELL, which ssh uses to run its ProxyCommand: some
// users' shells run no commands, and some have other quoting rules.
func sshEnviron(e *Env) []string {
	return append(slices.DeleteFunc(slices.Clone(e.Environ), func(variable string) bool {
		return strings.HasPrefix(variable, "SHELL=")
	}), "SHELL=/bin/sh")
}

// LoginError says that a user name precedes a VM's name, as in ssh's command line.
type LoginError struct{ User string }

func (e *LoginError) Error() string { return "whom to log in as is in the definition" }

// checkNoLogin refuses a VM's name with a user name before it.
func checkNoLogin(ref string) error {
	if user, _, ok := strings.Cut(ref, "@"); ok && !strings.Contains(ref, "/") {
		return &LoginError{user}
	}
	return nil
}

// sshReady waits until the sshd of a running VM responds, and returns its address.
func sshReady(ctx context.Context, e *Env, vm vms.VM) (netip.AddrPort, error) {
	conn, err := connectSSH(ctx, e, vm)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return conn.RemoteAddr().(*net.TCPAddr).AddrPort(), conn.Close()
}

// connectSSH waits until the sshd of a running VM responds, and returns the connection.
func connectSSH(ctx context.Context, e *Env, vm vms.VM) (*net.TCPConn, error) {
	g, err := hold(e, vm)
	if err != nil {
		return nil, err
	}
	defer g.close()
	if err := checkPaused(ctx, g.vm); err != nil {
		return nil, err
	}
	if _, err := await(ctx, e, g, GoalSSH, sshPatience, orNobody(nil)); err != nil {
		return nil, err
	}
	noticeDuplicateMACs(e, vm, g.process.PID)
	conn := g.conn
	g.conn = nil
	return conn, nil
}

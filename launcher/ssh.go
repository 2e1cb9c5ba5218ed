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

// Program is a program to be run in this process's place, or beside it.
type Program struct {
	Path    string
	Argv    []string // the name that it is called by first
	Environ []string
}

// SSHRequest asks for an ssh to a VM.
type SSHRequest struct {
	Name    string
	Command []string // what to run in the guest; none is a shell
	TTY     bool     // the command gets a terminal, as by ssh -t
}

// sshPatience is how long a guest may take to get an address and start its sshd.
const sshPatience = 30 * time.Second

// SSH waits up to 30 s until the sshd of a VM that runs answers, and gives the user's own ssh with the options that
// lead there: the terminal, the signals and the exit code are left to it. The session ends when the VM ends, with
// 255. A user's name before the VM's is a [*LoginError], a guest that is paused a *qemu.PausedError.
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

// sessionOptions are the options of an ssh or scp that qlaunch runs, to a VM whose sshd answers by now.
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

// sshEnviron gives this process's environment with another SHELL, by which ssh runs its ProxyCommand: the shell of
// some users runs nothing, and some shells read quotes differently.
func sshEnviron(e *Env) []string {
	return append(slices.DeleteFunc(slices.Clone(e.Environ), func(variable string) bool {
		return strings.HasPrefix(variable, "SHELL=")
	}), "SHELL=/bin/sh")
}

// LoginError says that a user's name stands before a VM's, as in ssh's own command line.
type LoginError struct{ User string }

func (e *LoginError) Error() string { return "whom to log in as is in the definition" }

// checkNoLogin refuses a name with a user's before it.
func checkNoLogin(ref string) error {
	if user, _, ok := strings.Cut(ref, "@"); ok && !strings.Contains(ref, "/") {
		return &LoginError{user}
	}
	return nil
}

// sshReady waits until the sshd of a VM that runs answers, and gives its address.
func sshReady(ctx context.Context, e *Env, vm vms.VM) (netip.AddrPort, error) {
	conn, err := connectSSH(ctx, e, vm)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return conn.RemoteAddr().(*net.TCPAddr).AddrPort(), conn.Close()
}

// connectSSH waits until the sshd of a VM that runs answers, and gives the connection.
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

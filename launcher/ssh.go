package launcher

import (
	"context"
	"errors"
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
}

// sshPatience is how long a guest may take to get an address and start its sshd.
const sshPatience = 30 * time.Second

// SSH waits up to 30 s until the sshd of a VM that runs answers, and gives the user's own ssh with the options that
// lead there: the terminal, the signals and the exit code are left to it. The session ends when the VM ends, with
// 255.
func SSH(ctx context.Context, e *Env, r SSHRequest) (Program, error) {
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

// sshReady waits until the sshd of a VM that runs answers, and gives its address.
func sshReady(ctx context.Context, e *Env, vm vms.VM) (netip.AddrPort, error) {
	g, err := hold(e, vm)
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer g.close()
	address, err := await(ctx, e, g, GoalSSH, sshPatience, orNobody(nil))
	if err != nil {
		return netip.AddrPort{}, err
	}
	noticeDuplicateMACs(e, vm, g.process.PID)
	return sshEndpoint(vm, address)
}

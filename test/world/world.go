// Package world makes the private world in which the end-to-end tests and the
// demo run: namespaces of its own, and in them what an ordinary user finds on a
// host that was set up for bridged guests. There is a bridge virbr0 that is up,
// a real dnsmasq on it, /etc/qemu/bridge.conf, the real qemu-bridge-helper,
// /dev/net/tun that anyone may open, and a runtime directory. Nothing outside
// is touched, and all of it ends with the process that Command starts.
//
// Run by root, the command runs as an unprivileged user and the helper is a
// setuid copy, so the privilege path is the real one. Run by an ordinary user,
// the world is a user namespace: the user keeps the uid and has CAP_NET_ADMIN
// over the world's network alone, which serves the helper in place of a setuid
// bit that a user namespace would not honour.
//
// Command starts the calling program again as the world's first process, so
// main or TestMain begins with
//
//	if code, ok := world.Main(os.Args, os.Stdin, os.Stdout, os.Stderr); ok {
//		os.Exit(code)
//	}
package world

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Where things are in a world.
const (
	Dir    = "/mnt"                             // the world's own directory, $WORLD_DIR
	Home   = Dir + "/home"                      // the user's home, empty at the start
	Log    = Dir + "/dnsmasq.log"               // what dnsmasq says
	Leases = "/var/lib/misc/dnsmasq.leases"     // where Debian's dnsmasq keeps them
	Helper = "/usr/lib/qemu/qemu-bridge-helper" // where Debian and Ubuntu have it
)

// User is the uid and the gid of the command when root makes the world. No
// distribution gives it to anyone; /etc/passwd in the world calls it "user".
const User = 64321

// ExitBroken is the exit code when the world could not be made, so that the
// command did not run; every other code is the command's own.
const ExitBroken = 125

// name is the argument 0 by which Main knows that it is to be process 1.
const name = "qlaunch-world"

// Options says how a world differs from a host that was set up well. The zero
// value is that host. The tags make it the command line of cmd.
type Options struct {
	BridgeConf string            `help:"Content of /etc/qemu/bridge.conf (default: allow virbr0)." placeholder:"TEXT"`
	Bridges    []Bridge          `name:"bridge" sep:"none" help:"A bridge; none given: virbr0=192.168.122.1/24." placeholder:"NAME[=ADDR/LEN][,down]"`
	Helper     string            `help:"The helper is setuid (root's worlds), plain, missing, or on a nosuid mount." placeholder:"setuid|plain|missing|nosuid"`
	Tun        string            `help:"/dev/net/tun is open (0666), closed (0600) or absent." placeholder:"open|closed|absent"`
	KVM        string            `name:"kvm" help:"/dev/kvm is open (0666, when the machine has one), closed (0600) or absent." placeholder:"open|closed|absent"`
	HostCPU    string            `name:"host-cpu" help:"With -cpu host, KVM does what it does on this machine, starts, or aborts because it refuses a register of that CPU. The last two need no KVM: TCG stands in for it." placeholder:"machine|starts|aborts"`
	DHCP       string            `name:"dhcp" help:"dnsmasq runs, runs later (echo start >$WORLD_DIR/dhcp), or is off." placeholder:"on|later|off"`
	NoNewPrivs bool              `help:"The command runs with no_new_privs."`
	Copy       map[string]string `help:"Copy the file or directory PATH to NAME in the world's directory, owned by the user; bin/ there is the first in PATH." placeholder:"NAME=PATH"`
	Env        []string          `sep:"none" help:"More variables for the command." placeholder:"KEY=VALUE"`
	Setup      string            `help:"A shell script that the world's root runs when all is ready, before the command." placeholder:"SCRIPT"`
}

// Command is the command argv in a new world. The caller gives it its stdin,
// stdout and stderr, and runs it; its exit code is argv's, 128 and the signal
// when that was killed, or ExitBroken with one line on stderr. When it ends or
// is killed, or the calling process ends, so does everything in the world. The
// calling thread must live as long: do not call Start on a locked thread that
// ends earlier (https://go.dev/issue/27505).
//
// argv's program is looked for in the world's PATH, which is $WORLD_DIR/bin,
// /usr/bin and /bin. Relative paths in Copy are relative to the caller's
// working directory; the command starts in its home.
func Command(ctx context.Context, o Options, argv ...string) (*exec.Cmd, error) {
	if len(argv) == 0 {
		return nil, errors.New("a world needs a command")
	}
	asRoot := os.Geteuid() == 0
	o, err := o.complete(asRoot)
	if err != nil {
		return nil, err
	}
	if err := namespaces(asRoot); err != nil {
		return nil, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("options: %w", err)
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = append([]string{name, string(text)}, argv...)
	// The race detector, where it is on, would have each world end a second late.
	cmd.Env = []string{"GORACE=atexit_sleep_ms=0"}
	// A killed world is gone at once; only a process outside that was handed
	// its stdout could keep Wait longer.
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID,
		Pdeathsig:  unix.SIGKILL,
	}
	if asRoot {
		return cmd, nil
	}
	cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	// A process with another uid than 0 keeps across exec only what is ambient.
	cmd.SysProcAttr.AmbientCaps = []uintptr{
		unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_KILL, unix.CAP_SYS_ADMIN,
		unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_NET_BIND_SERVICE,
	}
	return cmd, nil
}

// complete is o with its defaults, or what cannot be.
func (o Options) complete(asRoot bool) (Options, error) {
	if o.BridgeConf == "" {
		o.BridgeConf = "allow virbr0"
	}
	if o.Bridges == nil {
		o.Bridges = []Bridge{{Name: "virbr0", Addr: standardAddr()}}
	}
	helper := "plain"
	if asRoot {
		helper = "setuid"
	}
	for _, c := range []struct {
		key   string
		value *string
		allow []string // the default is the first
		root  []string // what only root's worlds can be
	}{
		{"helper", &o.Helper, []string{helper, "setuid", "plain", "missing", "nosuid"}, []string{"setuid", "nosuid"}},
		{"tun", &o.Tun, []string{"open", "closed", "absent"}, []string{"closed"}},
		{"kvm", &o.KVM, []string{"open", "closed", "absent"}, []string{"closed"}},
		{"host-cpu", &o.HostCPU, []string{"machine", "starts", "aborts"}, nil},
		{"dhcp", &o.DHCP, []string{"on", "later", "off"}, nil},
	} {
		if err := choose(c.key, c.value, c.allow); err != nil {
			return o, err
		}
		if err := onlyRoot(c.key, *c.value, c.root); err != nil && !asRoot {
			return o, err
		}
	}
	return o, nil
}

package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// power is the host's: it is on as long as systemd-nspawn runs.
type power struct {
	dir     string
	console *os.File
	tell    func(event)
	leader  atomic.Int64 // the host's process 1; 0 before it has booted
}

// notifySocket is an abstract one, so it is this network namespace's own.
const notifySocket = "@qlaunch-host"

// exitReboot is systemd-nspawn's exit code when the host wants to boot again.
const exitReboot = 133

// obey does what the caller orders.
func (p *power) obey(order string) error {
	switch order {
	case boot:
		return p.on()
	case cut:
		leader := int(p.leader.Swap(0))
		if leader == 0 { // to kill(2), everybody in the caller's own process group
			return errors.New("the host is off")
		}
		// With process 1 the kernel ends all others of the host's.
		return unix.Kill(leader, unix.SIGKILL)
	}
	return errors.New("unknown order")
}

// on switches the host on.
func (p *power) on() error {
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notifySocket, Net: "unixgram"})
	if err != nil {
		return err
	}
	// It ends with the keeper's namespaces.
	cmd := exec.CommandContext(context.Background(), "/usr/bin/systemd-nspawn", p.args()...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "NOTIFY_SOCKET=" + notifySocket}
	cmd.Stdout, cmd.Stderr = p.console, p.console
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w (package systemd-container)", err)
	}
	go p.listen(socket) // until the host is off
	go p.wait(cmd, socket)
	return nil
}

func (p *power) args() []string {
	return []string{
		"--quiet", "--boot", "--directory=" + filepath.Join(p.dir, "root"), "--machine=qlhost", "--settings=no",
		// No daemon of this machine's is told of the host.
		"--register=no", "--keep-unit", "--link-journal=no",
		"--network-veth-extra=" + outsideNIC + ":" + hostNIC, "--private-network",
		"--bind=" + filepath.Join(p.dir, "dev/tun") + ":/dev/net/tun",
		"--resolv-conf=off", "--timezone=off", "--console=pipe", "--notify-ready=yes",
	}
}

// listen tells when the host has booted: systemd-nspawn passes on what the
// host's systemd says, and adds which process that is. It is ready once a boot,
// and some versions say so again after each reload.
func (p *power) listen(socket *net.UnixConn) {
	told := false
	for message := make([]byte, 4096); ; {
		n, err := socket.Read(message)
		if err != nil {
			return // closed, because the host is off
		}
		for line := range strings.Lines(string(message[:n])) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch {
			case key == "X_NSPAWN_LEADER_PID":
				leader, _ := strconv.ParseInt(value, 10, 64)
				p.leader.Store(leader)
			case key == "READY" && value == "1" && !told:
				told = true
				p.tell(event{Up: int(p.leader.Load())})
			}
		}
	}
}

// wait tells when the host is off, or switches it on again when it reboots.
func (p *power) wait(cmd *exec.Cmd, socket *net.UnixConn) {
	_ = cmd.Wait()    // its exit code is what counts
	p.leader.Store(0) // the number may be another's from here on
	_ = socket.Close()
	if cmd.ProcessState.ExitCode() != exitReboot {
		p.tell(event{Down: true})
		return
	}
	if err := p.on(); err != nil {
		p.tell(event{Error: err.Error()})
	}
}

package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/netsetup"
)

// portsTaken tries the ports of DHCP and DNS as dnsmasq will with bind-dynamic: DHCP's on every address, shared with
// whoever shares it, as libvirt's dnsmasq does; DNS's on an address of its own, for which one of loopback's stands in.
// What is in the way is an error that names the process. Only root can try.
func portsTaken(ctx context.Context) []error {
	if os.Geteuid() != 0 {
		return nil
	}
	var taken []error
	for _, try := range []struct {
		network, address string
		options          []int
	}{
		{"udp4", "0.0.0.0:67", []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT}},
		{"udp4", "127.81.76.53:53", []int{unix.SO_REUSEADDR}},
		{"tcp4", "127.81.76.53:53", []int{unix.SO_REUSEADDR}},
	} {
		if err := listen(ctx, try.network, try.address, try.options); errors.Is(err, unix.EADDRINUSE) {
			taken = append(taken, takenError(try.network, try.address))
		}
	}
	return taken
}

// listen binds a socket with options of the socket's own, and closes it.
func listen(ctx context.Context, network, address string, options []int) error {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) {
			for _, option := range options {
				err = errors.Join(err, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, 1))
			}
		}), err)
	}}
	if strings.HasPrefix(network, "udp") {
		c, err := config.ListenPacket(ctx, network, address)
		if err != nil {
			return err
		}
		return c.Close()
	}
	l, err := config.Listen(ctx, network, address)
	if err != nil {
		return err
	}
	return l.Close()
}

func takenError(network, address string) error {
	_, port, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port) // ours
	network = strings.TrimSuffix(network, "4")
	what := fmt.Sprintf("%s port %d", network, number)
	e := &netsetup.PortTakenError{Failure: netsetup.Failure{What: what, Cause: netsetup.ErrPortTaken}, Port: number}
	for _, table := range []string{network, network + "6"} {
		if who := listener("/proc/net/"+table, number); who != "" {
			e.Detail = "by " + who
		}
	}
	return e
}

// listener is the process whose socket is in a table of the kernel's, proc_net(5), on a port and every address.
func listener(table string, port int) string {
	data, err := os.ReadFile(table)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 10 {
			continue
		}
		address, hex, _ := strings.Cut(fields[1], ":")
		if hex == fmt.Sprintf("%04X", port) && strings.Trim(address, "0") == "" {
			return owner("socket:[" + fields[9] + "]")
		}
	}
	return ""
}

// owner is the process that has a socket open.
func owner(socket string) string {
	files, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is a constant
	for _, file := range files {
		if target, err := os.Readlink(file); err == nil && target == socket {
			dir := filepath.Dir(filepath.Dir(file))
			name, _ := os.ReadFile(filepath.Join(dir, "comm"))
			return fmt.Sprintf("%s, pid %s", strings.TrimSpace(string(name)), filepath.Base(dir))
		}
	}
	return ""
}

package world

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// dnsmasqDeadline is how long dnsmasq may take to be ready; it takes milliseconds.
const dnsmasqDeadline = 30 * time.Second

// control is the pipe by which the user starts and stops dnsmasq.
const control = Dir + "/dhcp"

// dnsmasq is the world's DHCP server, running or not.
type dnsmasq struct {
	args    []string
	log     *os.File
	control *os.File
	cmd     *exec.Cmd // nil when it does not run
}

// dhcp makes the server, and starts it unless the options say otherwise.
func (m *maker) dhcp() (*dnsmasq, error) {
	d := &dnsmasq{args: dnsmasqArgs(m.Bridges)}
	var err error
	if d.log, err = os.OpenFile(Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
		return nil, err
	}
	if err := unix.Mkfifo(control, 0o600); err != nil {
		return nil, err
	}
	if err := m.own(control); err != nil {
		return nil, err
	}
	// For reading and writing: so it is never at its end, and nobody who writes waits.
	if d.control, err = os.OpenFile(control, os.O_RDWR, 0); err != nil {
		return nil, err
	}
	if m.DHCP != "on" || !slices.ContainsFunc(m.Bridges, func(b Bridge) bool { return b.Addr.IsValid() }) {
		return d, nil
	}
	return d, d.start()
}

// obey starts and stops the server as lines in the pipe say, as long as the
// world lives. What goes wrong is written to complaints.
func (d *dnsmasq) obey(complaints io.Writer) {
	for lines := bufio.NewScanner(d.control); lines.Scan(); {
		var err error
		switch word := strings.TrimSpace(lines.Text()); word {
		case "start":
			err = d.start()
		case "stop":
			err = d.stop()
		default:
			err = fmt.Errorf("%q: must be start or stop", word)
		}
		if err != nil {
			_, _ = fmt.Fprintln(complaints, "world: error:", err)
		}
	}
}

// start returns when the server is ready to serve.
func (d *dnsmasq) start() error {
	if d.cmd != nil {
		return nil
	}
	// It lives as long as the world.
	cmd := exec.Command("/usr/sbin/dnsmasq", d.args...) //nolint:noctx // see above
	cmd.Env = []string{}
	output, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w (package dnsmasq-base)", err)
	}
	d.cmd = cmd
	ready := make(chan error, 1)
	go d.follow(output, ready) // until dnsmasq ends
	select {
	case err := <-ready:
		return err
	case <-time.After(dnsmasqDeadline):
		return errors.New("dnsmasq: not ready in " + dnsmasqDeadline.String())
	}
}

// stop ends the server; process 1 collects its exit status.
func (d *dnsmasq) stop() error {
	if d.cmd == nil {
		return nil
	}
	err := d.cmd.Process.Kill()
	d.cmd = nil
	return err
}

// follow copies what dnsmasq says into the log, and tells ready when it serves
// or, with its last words, that it ended before.
func (d *dnsmasq) follow(output io.Reader, ready chan<- error) {
	last, served := "no word", false
	for lines := bufio.NewScanner(output); lines.Scan(); {
		last = lines.Text()
		_, _ = fmt.Fprintln(d.log, last)
		if !served && strings.Contains(last, "DHCP, IP range") {
			served = true
			ready <- nil
		}
	}
	if !served {
		ready <- errors.New(last)
	}
}

// dnsmasqArgs is its command line: it reads no file of the host's, serves the
// bridges that have an address, and answers at once (the ping check that it
// does otherwise costs three seconds).
func dnsmasqArgs(bridges []Bridge) []string {
	args := []string{
		"--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
		"--bind-dynamic", "--except-interface=lo", "--dhcp-authoritative", "--no-ping", "--dhcp-leasefile=" + Leases,
	}
	for _, b := range bridges {
		if b.Addr.IsValid() {
			first, last := hosts(b.Addr)
			args = append(args, "--interface="+b.Name, fmt.Sprintf("--dhcp-range=%s,%s,1h", first, last))
		}
	}
	return args
}

// hosts is the range for guests in a network: all but the network's own first
// address, by custom the host's, and the broadcast address.
func hosts(p netip.Prefix) (first, last netip.Addr) {
	network := p.Masked().Addr()
	first = network.Next().Next()
	bytes := network.As4()
	for bit := p.Bits(); bit < 32; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	return first, netip.AddrFrom4(bytes).Prev()
}

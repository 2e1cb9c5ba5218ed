package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// leases is where the leases of VMs that stand-in QEMUs run are: these send no DHCP. leaseFile makes it the user's.
const (
	leases    = "/var/lib/qlaunch/virbr0.leases"
	leaseFile = "mkdir -p /var/lib/qlaunch; : >" + leases + "; chmod 666 " + leases
)

// scaleOf is how many VMs are defined, and how many of them run, from few to many.
func scaleOf() []struct{ defined, running int } {
	return []struct{ defined, running int }{{10, 0}, {100, 0}, {1000, 0}, {10, 10}, {100, 10}, {1000, 10}, {100, 100}, {1000, 100}}
}

// size is what was measured with so many VMs.
type size struct{ defined, running int }

// scale measures what the commands that look at VMs cost as these become more. A real tap and a stand-in QEMU that speaks QMP
// is behind each that runs, and a lease of its own in a file.
func (b *bench) scale() error {
	took := map[size]time.Duration{}
	var cells []string
	for _, s := range scaleOf() {
		if err := b.populate(s.defined, s.running); err != nil {
			return err
		}
		ls, err := b.timeList(s.running)
		if err != nil {
			return err
		}
		took[s] = median(ls)
		b.say("ls with %d defined, %d running: %s", s.defined, s.running, ms(took[s]))
		cells = append(cells, fmt.Sprintf("%d/%d: %s", s.defined, s.running, ms(took[s])))
		if s == (size{1000, 100}) {
			b.add(within("`ls` with 1,000 VMs defined and 100 running, their addresses found", 50*time.Millisecond, ls))
		}
	}
	b.add(row{"`ls` with so many defined/running", "linear", strings.Join(cells, ", "), "–"}, slopes(took))
	return errors.Join(b.statusOfMany(), b.oneStopped())
}

// slopes are what each further VM costs.
func slopes(took map[size]time.Duration) row {
	slope := func(from, to size) time.Duration {
		return (took[to] - took[from]) / time.Duration(to.defined-from.defined+to.running-from.running)
	}
	few, many := slope(size{10, 0}, size{100, 0}), slope(size{100, 0}, size{1000, 0})
	running := slope(size{1000, 10}, size{1000, 100})
	text := fmt.Sprintf("%d µs a definition from 10 to 100, %d µs from 100 to 1,000; %d µs a running VM from 10 to 100",
		few.Microseconds(), many.Microseconds(), running.Microseconds())
	// More than linear is a slope that grows; a start-up that is shared makes the first one small, not the second.
	return row{"`ls`: the slope", "does not grow", text, verdict(many <= 2*few || many < 50*time.Microsecond)}
}

// populate leaves so many definitions, the first of which run.
func (b *bench) populate(defined, running int) error {
	if err := b.stopAll(); err != nil {
		return err
	}
	if err := os.RemoveAll(b.defs); err != nil {
		return err
	}
	if err := os.MkdirAll(b.defs, 0o700); err != nil {
		return err
	}
	var names []string
	var lines strings.Builder
	for i := range defined {
		name, mac := fmt.Sprintf("vm%04d", i), net.HardwareAddr{0x52, 0x54, 0, 0, byte(i >> 8), byte(i)}
		if i < running {
			names = append(names, name)
			fmt.Fprintf(&lines, "%d %s 192.168.122.%d %s *\n", time.Now().Add(time.Hour).Unix(), mac, i+2, name)
		}
		text := fmt.Sprintf("accel = \"tcg\"\ndescription = \"number %d\"\nmemory = \"1GiB\"\n\n[[nic]]\nbridge = \"virbr0\"\nmac = %q\n\n[qemu]\nbinary = \"fakeqemu\"\n", i, mac)
		if err := b.define(name, text); err != nil {
			return err
		}
	}
	if len(names) > 0 {
		if _, err := b.do(append([]string{"qlaunch", "up", "--wait", "running"}, names...)...); err != nil {
			return err
		}
	}
	return os.WriteFile(leases, []byte(lines.String()), 0o600)
}

func (b *bench) stopAll() error {
	_, out, err := b.call("qlaunch", "ls")
	if err != nil || !strings.Contains(out, " running ") {
		return err
	}
	_, err = b.do("qlaunch", "down", "--force", "--all")
	return err
}

// timeList takes the time of ls, and sees that it tells of all that runs.
func (b *bench) timeList(running int) ([]time.Duration, error) {
	var took []time.Duration
	for i := range b.pairs + 1 {
		d, out, err := b.call("qlaunch", "ls")
		if err != nil {
			return nil, err
		}
		if got := found(out); got != running {
			return nil, fmt.Errorf("ls shows %d VMs that run with an address, of %d", got, running)
		}
		if i > 0 {
			took = append(took, d)
		}
	}
	return took, nil
}

// found counts the VMs that run, and whose addresses are told.
func found(table string) int {
	n := 0
	for line := range strings.Lines(table) {
		if words := strings.Fields(line); words[1] == "running" && strings.HasPrefix(words[2], "192.168.122.") {
			n++
		}
	}
	return n
}

// statusOfMany measures status among as many VMs as there are now.
func (b *bench) statusOfMany() error {
	var took []time.Duration
	for range b.pairs {
		d, err := b.do("qlaunch", "status", "vm0001")
		if err != nil {
			return err
		}
		took = append(took, d)
	}
	b.add(within("`status` of one that runs, with 1,000 VMs defined and 100 running", 50*time.Millisecond, took))
	return nil
}

// oneStopped measures ls while one of the QEMUs does not answer: it is waited for, for a second, and nothing else is.
func (b *bench) oneStopped() error {
	text, err := os.ReadFile(filepath.Join(b.run, "vm0007/pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		return err
	}
	took, err := b.timeList(99)
	if err != nil {
		return err
	}
	b.add(within("`ls` with 1,000 defined, 100 running, and one QEMU stopped (SIGSTOP), which has a second to answer", 1050*time.Millisecond, took))
	return errors.Join(unix.Kill(pid, unix.SIGCONT), b.stopAll())
}

package lease

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// inside is set in the environment of the test when it runs again in namespaces of its own.
const inside = "LEASES_TEST_INSIDE"

// again runs the calling test once more through the command, which ends in "$@", and fails as that does. It says true
// in there, where the test has work to do. The whole process has to be in the namespace, since Go moves goroutines
// between threads.
func again(t *testing.T, command ...string) bool {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		return true
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	args := append(command[1:len(command):len(command)], os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	cmd := exec.CommandContext(ctx, command[0], args...)
	path := os.Getenv("PATH") + ":/usr/sbin:/sbin" // dnsmasq is not on an ordinary user's
	cmd.Env = append(os.Environ(), inside+"="+t.Name(), "PATH="+path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	t.Logf("%s", out)
	return false
}

// run runs a command and gives its output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// ip runs ip(8) with the words of a line.
func ip(t *testing.T, line string) string {
	t.Helper()
	return run(t, "ip", strings.Fields(line)...)
}

// These are the real things: the kernel's bridge and tables, the real dnsmasq and a real DHCP client.
func TestGuestsOnARealBridge(t *testing.T) {
	if !again(t, "unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child") {
		return
	}
	h := newNetwork(t)
	t.Run("a lease is the answer", h.leaseIsTheAnswer)
	t.Run("a second start is told from the first", h.secondStart)
	t.Run("a lease without end is confirmed by the guest's frames", h.leaseWithoutEnd)
	t.Run("a guest with a fixed address is found by the kernel", h.fixedAddress)
	t.Run("an entry that only ages is no address of this start", h.agedEntry)
	t.Run("a guest that runs is found by a request of its own", h.firstRequest)
	t.Run("a quiet guest with the address of its last start is asked", h.quietGuest)
	t.Run("lost netlink events are made up for", h.lostEvents)
	t.Run("a guest that only sends frames reaches that stage", h.framesOnly)
	t.Run("the kernel's tables are explained", h.explained)
}

// A network is the bridge virbr0 with a DHCP server, in the test's own namespaces.
type network struct {
	root, leases string
	guests       int
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	h := &network{root: t.TempDir()}
	h.leases = filepath.Join(h.root, debian)
	if err := os.MkdirAll(filepath.Dir(h.leases), 0o755); err != nil {
		t.Fatal(err)
	}
	ip(t, "link set lo up")
	ip(t, "link add virbr0 address 52:54:00:00:00:01 type bridge")
	ip(t, "addr add 192.168.122.1/24 dev virbr0")
	ip(t, "link set virbr0 up")
	// A bridge whose last port goes loses its carrier, up to a second late, and then all of its neighbours: one stays.
	ip(t, "link add stays type veth peer name other")
	ip(t, "link set stays master virbr0 up")
	ip(t, "link set other up")
	h.startDnsmasq(t)
	return h
}

// startDnsmasq returns when the server is ready.
func (h *network) startDnsmasq(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--user=root", "--port=0",
		"--interface=virbr0", "--bind-dynamic", "--except-interface=lo", "--dhcp-authoritative", "--no-ping",
		"--dhcp-range=192.168.122.2,192.168.122.254,1h", "--dhcp-host=52:54:00:00:00:aa,infinite", "--dhcp-leasefile="+h.leases)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	lines := bufio.NewScanner(stderr)
	for lines.Scan() && !strings.Contains(lines.Text(), "DHCP, IP range") {
		fmt.Fprintln(&log, lines.Text())
	}
	if lines.Err() != nil || lines.Text() == "" {
		t.Fatalf("dnsmasq: %v\n%s", lines.Err(), &log)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() {
			continue
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-drained
		_ = cmd.Wait()
	})
}

// A guest is a network namespace of its own with an interface on the bridge.
type guest struct {
	pid  string
	link string
}

// start plugs a guest in. It is unplugged when the test ends.
func (h *network) start(t *testing.T, mac net.HardwareAddr) guest {
	t.Helper()
	holder := exec.CommandContext(t.Context(), "unshare", "--net", "sh", "-c", "echo ready; exec cat")
	stdin, err1 := holder.StdinPipe()
	stdout, err2 := holder.StdoutPipe()
	if err := errors.Join(err1, err2, holder.Start()); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(line, err)
	}
	h.guests++
	g := guest{pid: strconv.Itoa(holder.Process.Pid), link: fmt.Sprintf("tap%d", h.guests)}
	ip(t, "link add "+g.link+" type veth peer name eth0 address "+mac.String()+" netns "+g.pid)
	ip(t, "link set "+g.link+" master virbr0 up")
	g.run(t, "ip link set eth0 up")
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = holder.Wait()
		_ = exec.Command("ip", "link", "del", g.link).Run() // the namespace may have taken it along
	})
	return g
}

// run runs the words of a line as a command of the guest's.
func (g guest) run(t *testing.T, line string) string {
	t.Helper()
	return run(t, "nsenter", append([]string{"--target", g.pid, "--net"}, strings.Fields(line)...)...)
}

// dhcp asks for an address, as a guest does, and gives it.
func (g guest) dhcp(t *testing.T) string {
	t.Helper()
	script := filepath.Join(t.TempDir(), "script")
	const text = "#!/bin/sh\nif [ \"$1\" = bound ]; then echo \"bound $ip\"; ip addr replace \"$ip/24\" dev eth0; fi\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	out := g.run(t, "busybox udhcpc -i eth0 -f -q -n -x hostname:guestvm -s "+script)
	for line := range strings.Lines(out) {
		if address, ok := strings.CutPrefix(line, "bound "); ok {
			return strings.TrimSpace(address)
		}
	}
	t.Fatalf("no address in: %s", out)
	return ""
}

func (h *network) query(mac net.HardwareAddr) Query {
	return Query{Root: h.root, Bridge: "virbr0", MAC: mac}
}

// A pending is a Wait that runs, and notes when it has ended and which stages it told.
type pending struct {
	done   chan struct{}
	got    answer
	at     time.Time
	stages []Stage
	err    error
}

func (h *network) wait(t *testing.T, w *Waiter) *pending {
	t.Helper()
	p := &pending{done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	go func() {
		defer close(p.done)
		var a Address
		a, p.err = w.Wait(ctx, func(s Stage) { p.stages = append(p.stages, s) })
		p.at = time.Now()
		p.got = answer{Address: a.IP.String(), Source: string(a.Source), Freshness: string(a.Freshness)}
	}()
	return p
}

func (p *pending) expect(t *testing.T, want answer) {
	t.Helper()
	<-p.done
	if p.err != nil {
		t.Fatal(p.err)
	}
	expect(t, want, p.got)
}

func (h *network) newWaiter(t *testing.T, mac net.HardwareAddr) *Waiter {
	t.Helper()
	return newRealWaiter(t, h.query(mac))
}

func newRealWaiter(t *testing.T, q Query) *Waiter {
	t.Helper()
	w, err := NewWaiter(q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func (h *network) leaseIsTheAnswer(t *testing.T) {
	p := h.wait(t, h.newWaiter(t, guestMAC))
	address := h.start(t, guestMAC).dhcp(t)
	if address != "192.168.122.62" {
		t.Errorf("dnsmasq gave %s, which is not the hash of this MAC", address)
	}
	p.expect(t, answer{Address: address, Source: "dnsmasq", Freshness: "this start"})
	if last := p.stages[len(p.stages)-1]; last != Addressed {
		t.Errorf("the last stage is %v", last)
	}
	info, err := os.Stat(h.leases)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("from the lease's writing to the answer: %v; stages: %v", p.at.Sub(info.ModTime()), p.stages)
}

func (h *network) secondStart(t *testing.T) {
	h.start(t, guestMAC).dhcp(t)
	<-time.After(1100 * time.Millisecond) // a lease ends at a full second: the next one has to end at another
	w := h.newWaiter(t, guestMAC)
	g := h.start(t, guestMAC)
	if s := mustLook(t, w); s.acceptance == now {
		t.Errorf("the lease of the first start is believed: %v", s.address)
	}
	p := h.wait(t, w)
	p.expect(t, answer{Address: g.dhcp(t), Source: "dnsmasq", Freshness: "this start"})
}

// dnsmasq does not write the file again when it renews such a lease.
func (h *network) leaseWithoutEnd(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 0, 0xaa}
	t.Run("first start", func(t *testing.T) {
		p := h.wait(t, h.newWaiter(t, mac))
		p.expect(t, answer{Address: h.start(t, mac).dhcp(t), Source: "dnsmasq", Freshness: "this start"})
	})
	p := h.wait(t, h.newWaiter(t, mac))
	p.expect(t, answer{Address: h.start(t, mac).dhcp(t), Source: "dnsmasq", Freshness: "older"})
}

func (h *network) fixedAddress(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 0, 0xbb}
	p := h.wait(t, h.newWaiter(t, mac))
	g := h.start(t, mac)
	g.run(t, "ip addr add 192.168.122.200/24 dev eth0")
	g.run(t, "busybox ping -c 1 -w 10 192.168.122.1")
	p.expect(t, answer{Address: "192.168.122.200", Source: "neighbours", Freshness: "this start"})
	if diff := cmp.Diff([]Stage{Frames, Addressed}, p.stages); diff != "" {
		t.Error(diff)
	}
}

// running is a query for a guest that was started now. The kernel counts ages in ticks, and what was before is to be so by more than that.
func (h *network) running(mac net.HardwareAddr) Query {
	<-time.After(5 * tick)
	q := h.query(mac)
	q.Since = time.Now()
	<-time.After(5 * tick)
	return q
}

// The kernel was sure of the old address until the restart. Its entry comes into another state by the clock alone, which
// is made to strike here: what an administrator changes moves the same times.
func (h *network) agedEntry(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 1, 0xbb}
	ip(t, "neigh replace 192.168.122.210 lladdr "+mac.String()+" dev virbr0 nud reachable")
	q := h.running(mac)
	w := newRealWaiter(t, q)
	ip(t, "neigh change 192.168.122.210 dev virbr0 nud stale")
	if s := mustLook(t, w); s.acceptance != never {
		t.Errorf("%v is believed, as of %s", s.address.IP, s.address.Freshness)
	}
	if diff := cmp.Diff("192.168.122.210 neighbours older", brief(All(Look(t.Context(), q)))); diff != "" {
		t.Error(diff)
	}
	ip(t, "neigh del 192.168.122.210 dev virbr0")
}

// The host has nothing to send to this guest, so the kernel is never sure of it.
func (h *network) firstRequest(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 2, 0xbb}
	q := h.running(mac)
	g := h.start(t, mac)
	g.run(t, "ip addr add 192.168.122.211/24 dev eth0")
	g.run(t, "busybox arping -f -w 10 -I eth0 192.168.122.1")
	reports := Look(t.Context(), q)
	if diff := cmp.Diff("192.168.122.211 neighbours this start live", brief(All(reports))); diff != "" {
		t.Error(diff)
	}
	h.wait(t, newRealWaiter(t, q)).expect(t, answer{Address: "192.168.122.211", Source: "neighbours", Freshness: "this start"})
}

// Nothing that the guest does reaches the entry of before, which would stay as it is for ever.
func (h *network) quietGuest(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 3, 0xbb}
	for _, ip := range []string{"192.168.122.212", "192.168.122.213"} { // it has the first no more
		run(t, "ip", "neigh", "replace", ip, "lladdr", mac.String(), "dev", "virbr0", "nud", "stale")
	}
	q := h.running(mac)
	g := h.start(t, mac)
	g.run(t, "ip addr add 192.168.122.213/24 dev eth0")
	h.wait(t, newRealWaiter(t, q)).expect(t, answer{Address: "192.168.122.213", Source: "neighbours", Freshness: "this start"})
}

// Only netlink tells of this guest, and the subscription has run over before the wait begins.
func (h *network) lostEvents(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 0, 0xcc}
	w := h.newWaiter(t, mac)
	var batch strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&batch, "neigh replace 192.168.122.250 lladdr 52:54:00:00:01:%02x dev virbr0 nud permanent\n", i%256)
	}
	file := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(file, []byte(batch.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	first := w.updates
	ip(t, "-batch "+file)
	p := h.wait(t, w)
	g := h.start(t, mac)
	g.run(t, "ip addr add 192.168.122.201/24 dev eth0")
	g.run(t, "busybox ping -c 1 -w 10 192.168.122.1")
	p.expect(t, answer{Address: "192.168.122.201", Source: "neighbours", Freshness: "this start"})
	if w.updates == first {
		t.Error("the subscription did not run over: the test has tested nothing")
	}
}

func (h *network) framesOnly(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 0, 0xdd}
	w := h.newWaiter(t, mac)
	err := h.start(t, mac).announce(t, w)
	want := "no address for 52:54:00:00:00:dd on virbr0: the guest sends frames and has no lease: frames have come"
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

// announce has the guest announce an address, of which the host makes no entry, until the waiter has reached the stage
// that frames are seen; the first of them can be lost, for a bridge does not forward from a new port at once. It gives
// Wait's error.
func (g guest) announce(t *testing.T, w *Waiter) error {
	t.Helper()
	arping := exec.CommandContext(t.Context(), "nsenter", "--target", g.pid, "--net",
		"busybox", "arping", "-A", "-I", "eth0", "192.168.122.202")
	if err := arping.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = arping.Process.Kill()
		_ = arping.Wait()
	}()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	_, err := w.Wait(ctx, func(s Stage) {
		if s == Frames {
			cancel(errors.New("frames have come"))
		}
	})
	var waitErr *WaitError
	if !errors.As(err, &waitErr) || waitErr.Stage != Frames {
		t.Fatal(err)
	}
	return waitErr
}

func (h *network) explained(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 0, 0xee}
	w := h.newWaiter(t, mac)
	g := h.start(t, mac)
	_ = g.announce(t, w)
	ip(t, "neigh add 192.168.122.203 lladdr "+mac.String()+" dev virbr0 nud stale")
	ip(t, "neigh add 192.168.122.204 lladdr "+mac.String()+" dev virbr0 nud reachable")
	ip(t, "-6 neigh add fe80::7 lladdr "+mac.String()+" dev virbr0 nud reachable")
	ip(t, "neigh add 192.168.122.205 lladdr 52:54:00:00:00:05 dev virbr0 nud reachable")
	reports := Look(t.Context(), h.query(mac))
	frames := reports[len(reports)-1]
	if diff := cmp.Diff("frames from 52:54:00:00:00:ee on "+g.link, frames.Verdict); diff != "" {
		t.Error(diff)
	}
	want := "192.168.122.204 neighbours unknown live, 192.168.122.203 neighbours unknown, fe80::7%virbr0 neighbours unknown live"
	if diff := cmp.Diff(want, brief(All(reports))); diff != "" {
		t.Error(diff)
	}
	if best, ok := Best(reports); !ok || best.IP.String() != "192.168.122.204" {
		t.Errorf("best: %v, %v", best.IP, ok)
	}
}

// The limits are per user namespace (namespaces(7), /proc/sys/user), so the test has some of its own to exhaust.
func TestNoMoreWatchesIsAnErrorThatNamesTheLimit(t *testing.T) {
	const lower = `echo 2 > /proc/sys/user/max_inotify_watches && exec "$0" "$@"`
	if !again(t, "unshare", "--user", "--map-root-user", "sh", "-c", lower) {
		return
	}
	q := newHost(t)
	for _, f := range files(q.Root, q.Bridge) {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, err := newWaiter(q, virbr0)
	want := "watch " + filepath.Join(q.Root, "var/lib/qlaunch") + ": fs.inotify.max_user_watches is reached: no space left on device"
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Error(diff)
	}
}

func TestNoMoreInotifyIsAnErrorThatNamesTheLimit(t *testing.T) {
	const lower = `echo 0 > /proc/sys/user/max_inotify_instances && exec "$0" "$@"`
	if !again(t, "unshare", "--user", "--map-root-user", "sh", "-c", lower) {
		return
	}
	_, err := newWaiter(newHost(t), virbr0)
	want := "couldn't initialize inotify: too many open files"
	if err == nil || !strings.HasPrefix(err.Error(), "fs.inotify.max_user_instances, or the limit of open files, is reached: ") ||
		!strings.HasSuffix(err.Error(), want) {
		t.Error(err)
	}
}

package lease

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Look reads every source once. It returns one report for each place, in a fixed order, and also for those that
// cannot be read. It blocks only on reading files, and stops when ctx ends.
func Look(ctx context.Context, q Query) []Report {
	p := Survey(ctx, q.Root, q.Bridge)
	reports := p.Look(q)
	if best, ok := Best(reports); q.Server == nil || ok && !best.askable() {
		return reports
	}
	return p.With(ctx, q.Root, q.Server()).Look(q)
}

// Look is like the function [Look], but uses the snapshot. The query must be about the snapshot's bridge.
func (p Snapshot) Look(q Query) []Report { return judge(q, p.view(q), nil) }

// replyTimeout is how long a guest may take to reply. On a bridge of this host it takes less than a millisecond.
const replyTimeout = time.Second

// Ask is like [Look], but verifies addresses if the most likely one is in doubt: one from before the start, one whose
// lease has expired, or one that the kernel remembers at another MAC. It sends one packet to each address in doubt,
// and returns after the first reply that leaves no doubt, or after a second.
func Ask(ctx context.Context, q Query) []Report {
	reports := Look(ctx, q)
	if !inDoubt(reports) {
		return reports
	}
	l, err := findLink(q.Bridge)
	if err != nil {
		return reports
	}
	updates, err := subscribe()
	if err != nil {
		return reports // use what is known
	}
	defer updates.close()
	ctx, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	a := verification{query: q, link: l, updates: updates, answered: map[netip.Addr]bool{}}
	if q.Server != nil {
		a.server = q.Server()
	}
	return a.run(ctx, reports)
}

// verification verifies the addresses of one guest that are in doubt.
type verification struct {
	query    Query
	link     link
	updates  *subscription
	ips      []netip.Addr
	answered map[netip.Addr]bool
	server   string // its lease file
}

// run sends a packet to each address in doubt, and reads the sources again after each reply, until no doubt is left
// or ctx ends.
func (a *verification) run(ctx context.Context, reports []Report) []Report {
	ctx, stop := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer stop()
	doubtful := askable(reports)
	refusals := make(chan netip.Addr, len(doubtful))
	for _, d := range doubtful {
		a.ips = append(a.ips, d.IP)
		if conn := sendNothing(ctx, a.link.name, d.IP); conn != nil {
			waiting.Go(func() {
				if isRefused(ctx, conn) {
					refusals <- d.IP
				}
			})
		}
	}
	for inDoubt(reports) && a.next(ctx, refusals) {
		v := see(context.WithoutCancel(ctx), a.query, a.link, a.server)
		v.answered = a.answered
		reports = judge(a.query, v, nil)
	}
	return reports
}

// next waits for a reply, and reports whether one came before ctx ended. A broken subscription ends the wait.
func (a *verification) next(ctx context.Context, refusals <-chan netip.Addr) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case ip := <-refusals:
			a.answered[ip] = true
			return true
		case u, ok := <-a.updates.updates:
			if !ok || concerns(u, a.query.MAC, a.ips) {
				return ok
			}
		}
	}
}

// inDoubt reports whether a reply of the guest could lead to a more likely address.
func inDoubt(reports []Report) bool {
	best, ok := Best(reports)
	return (!ok || best.askable()) && len(askable(reports)) > 0
}

// askable returns the addresses in the reports that are in doubt, and that a reply of the guest would confirm.
func askable(reports []Report) []Address {
	var doubtful []Address
	for _, r := range reports {
		for _, a := range r.Addresses {
			if a.askable() {
				doubtful = append(doubtful, a)
			}
		}
	}
	return doubtful
}

// sendNothing sends an empty datagram to the discard port (RFC 863) through a link. It returns nil if that fails,
// which only leaves the address in doubt.
func sendNothing(ctx context.Context, link string, ip netip.Addr) net.Conn {
	const discard = 9
	onto := func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.BindToDevice(int(fd), link) })
	}
	d := net.Dialer{Control: onto, Timeout: time.Second}
	conn, err := d.DialContext(ctx, "udp", net.JoinHostPort(ip.String(), fmt.Sprint(discard)))
	if err != nil {
		return nil
	}
	_, _ = conn.Write(nil)
	return conn
}

// isRefused waits for an ICMP error. It comes from the host that has the address, at the MAC that the kernel sent the
// datagram to. A guest that drops such datagrams sends none.
func isRefused(ctx context.Context, conn net.Conn) bool {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	_, err := conn.Read(make([]byte, 1))
	return err == nil || errors.Is(err, unix.ECONNREFUSED)
}

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

// Look asks every source once. The reports come in a fixed order, one for each place that was asked, the unreadable
// ones too. It blocks only on reading files, and stops asking when ctx ends.
func Look(ctx context.Context, q Query) []Report {
	p := Survey(ctx, q.Root, q.Bridge)
	reports := p.Look(q)
	if best, ok := Best(reports); q.Server == nil || ok && !best.askable() {
		return reports
	}
	return p.With(ctx, q.Root, q.Server()).Look(q)
}

// Look is [Look] in what has been read: its query is to be about the bridge that was surveyed.
func (p Picture) Look(q Query) []Report { return judge(q, p.view(q), nil) }

// answerPatience is how long a guest may take to answer. On a bridge of this host's it takes less than a millisecond.
const answerPatience = time.Second

// Ask is [Look] for who can wait for a moment: where the likeliest address is in doubt, one packet is sent to each
// address that is, and the guest's answer counts. That is an address from before the start, one whose lease has ended, and
// one that the kernel remembers at another MAC. It returns with the first answer that leaves no doubt, or after a second.
func Ask(ctx context.Context, q Query) []Report {
	reports := Look(ctx, q)
	if !inDoubt(reports) {
		return reports
	}
	l, err := findLink(q.Bridge)
	if err != nil {
		return reports
	}
	kin, err := subscribe()
	if err != nil {
		return reports // what is known has to do
	}
	defer kin.close()
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	a := asking{query: q, link: l, kin: kin, answered: map[netip.Addr]bool{}}
	if q.Server != nil {
		a.server = q.Server()
	}
	return a.settle(ctx, reports)
}

// An asking is of the addresses of one guest that are in doubt.
type asking struct {
	query    Query
	link     link
	kin      *subscription
	ips      []netip.Addr
	answered map[netip.Addr]bool
	server   string // its lease file
}

// settle sends to the addresses that are in doubt, and looks again at each answer, until there is no doubt left or ctx ends.
func (a *asking) settle(ctx context.Context, reports []Report) []Report {
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
				if answers(ctx, conn) {
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

// next waits for an answer, and says whether one has come before ctx ended. A subscription that breaks ends the wait.
func (a *asking) next(ctx context.Context, refusals <-chan netip.Addr) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case ip := <-refusals:
			a.answered[ip] = true
			return true
		case u, ok := <-a.kin.updates:
			if !ok || concerns(u, a.query.MAC, a.ips) {
				return ok
			}
		}
	}
}

// inDoubt says whether the guest's own answer could lead to a likelier address than there is.
func inDoubt(reports []Report) bool {
	best, ok := Best(reports)
	return (!ok || best.askable()) && len(askable(reports)) > 0
}

// askable are the addresses in the reports that are in doubt, and that the guest could settle.
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

// sendNothing sends an empty datagram to the discard port (RFC 863) by way of a link. Whether it can be sent does not
// matter: nil, and all is as before.
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

// answers waits for a refusal of what was sent: it comes from whoever has the address, at the MAC that the kernel sent it
// to. A guest that drops such packets says nothing.
func answers(ctx context.Context, conn net.Conn) bool {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	_, err := conn.Read(make([]byte, 1))
	return err == nil || errors.Is(err, unix.ECONNREFUSED)
}

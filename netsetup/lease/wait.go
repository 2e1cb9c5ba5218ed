package lease

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/vishvananda/netlink"
)

// settleTime is how long an address must stay without a new lease until it is accepted on weaker evidence.
//
// A DHCP server offers an address before it grants it: dnsmasq puts the offered address into the kernel's neighbour
// table (src/dhcp.c, SIOCSARP), where it looks like one in use, and the lease follows when the guest requests it.
const settleTime = time.Second

// Waiter waits for a guest's address. It must be used by one goroutine at a time.
type Waiter struct {
	query   Query
	link    link
	base    *baseline
	files   *tree
	updates *subscription
	bus     busWatch

	candidates []netip.Addr // the addresses of the last look
	server     string       // the lease file of the bridge's server; set by findServer
}

// NewWaiter records what the sources have now, and starts to watch for changes. Call it before the guest is started,
// with a Query whose Since is zero. For a guest that runs already, Since is the time of its start, and an address
// that may be of this start is accepted.
//
// Errors: ErrNoBridge; no inotify watch, with the kernel's limit that was reached; no netlink socket. The caller must
// Close the Waiter.
func NewWaiter(q Query) (*Waiter, error) {
	l, err := findLink(q.Bridge)
	if err != nil {
		return nil, fmt.Errorf("bridge %s: %w", q.Bridge, err)
	}
	return newWaiter(q, l)
}

func newWaiter(q Query, l link) (*Waiter, error) {
	updates, err := subscribe()
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, f := range files(q.Root, q.Bridge) {
		paths = append(paths, f.path)
	}
	tree, err := newTree(q.Root, paths)
	if err != nil {
		updates.close()
		return nil, err
	}
	bus := watchNetworkd(q.Root, l) // before the leases are read
	base := newBaseline(see(context.Background(), q, l, ""))
	return &Waiter{query: q, link: l, base: base, files: tree, updates: updates, bus: bus}, nil
}

// Close ends the watches and their goroutines.
func (w *Waiter) Close() error {
	w.updates.close()
	w.bus.close()
	return w.files.close()
}

// Wait returns the guest's address as soon as it is known. If ctx ends first, the error is a *WaitError around
// context.Cause(ctx) with the stage that was reached; any other error means that the watch broke.
//
// progress, which may be nil, is called with each higher Stage, from within Wait.
func (w *Waiter) Wait(ctx context.Context, progress func(Stage)) (Address, error) {
	stage := stageReporter{tell: progress}
	var seen observation
	var settled <-chan time.Time // fires once, when the address has stayed for settleTime
	for isSettled := false; ctx.Err() == nil; {
		var err error
		if seen, err = w.look(ctx); err != nil {
			return Address{}, w.failure(err)
		}
		if seen.ready(isSettled) {
			stage.to(Addressed)
			return seen.address, nil
		}
		if w.findServer(ctx) {
			continue
		}
		stage.to(seen.stage)
		w.verify(ctx, seen.reports)
		if seen.acceptance == later && settled == nil {
			settled = time.After(settleTime)
		}
		fired, err := w.next(ctx, settled)
		if err != nil {
			return Address{}, w.failure(err)
		}
		isSettled = isSettled || fired
	}
	return Address{}, &WaitError{Query: w.query, Stage: stage.reached, Reports: seen.reports, Err: context.Cause(ctx)}
}

// findServer looks for the lease file of the bridge's server, once, and reports whether there is another file to
// read. Its leases belong to the baseline: a guest that was just started cannot have a lease yet.
func (w *Waiter) findServer(ctx context.Context) bool {
	find := w.query.Server
	if w.query.Server = nil; find == nil {
		return false
	}
	path := find()
	v := see(context.WithoutCancel(ctx), w.query, w.link, "")
	f, ok := serverFile(w.query.Root, path, v.files)
	if ok {
		w.server = path
		w.files.add(f.path)
		w.base.add(f.read(context.WithoutCancel(ctx)))
	}
	return ok
}

// Follow calls report with the accepted addresses, at once and after each change, until ctx ends: a guest may get
// another address after its first. They are in the order of [All], without those that the sources no longer have. The
// error says what broke the watch; it is nil if ctx ended.
func (w *Waiter) Follow(ctx context.Context, tell func([]Address)) error {
	for ctx.Err() == nil {
		seen, err := w.look(ctx)
		if err != nil {
			return w.failure(err)
		}
		tell(seen.accepted)
		w.verify(ctx, seen.reports)
		if _, err := w.next(ctx, nil); err != nil {
			return w.failure(err)
		}
	}
	return nil
}

func (w *Waiter) failure(err error) error {
	return fmt.Errorf("wait for the address of %s: %w", w.query.MAC, err)
}

// observation is the result of one look at the sources.
type observation struct {
	reports    []Report
	stage      Stage
	address    Address // the one to return first
	acceptance acceptance

	accepted []Address // all that can be accepted, now or later
}

// ready reports whether the address can be returned: at once, or because it has stayed for settleTime.
func (s observation) ready(isSettled bool) bool {
	return s.acceptance == now || s.acceptance == later && isSettled
}

// look reads the sources and picks an address. It sets the watches before it reads the files, so that every later
// change causes an event.
func (w *Waiter) look(ctx context.Context) (observation, error) {
	if err := w.files.arm(); err != nil {
		return observation{}, err
	}
	v := see(context.WithoutCancel(ctx), w.query, w.link, w.server) // a few small files; a partial read would be useless
	w.base.addUnread(v)
	w.candidates = v.candidates(w.query)
	s := observation{reports: judge(w.query, v, w.base)}
	sends := w.base.sends(w.query, v.sighting)
	s.stage = stageOf(s.reports, sends)
	all := All(s.reports)
	s.address, s.acceptance = pick(all, sends)
	s.accepted = slices.DeleteFunc(all, func(a Address) bool { return accept(a, sends) == never })
	return s, nil
}

// next returns when a change may affect the result, when ctx ends, or when the timer fires. It merges all changes
// until then into one.
func (w *Waiter) next(ctx context.Context, timer <-chan time.Time) (timeUp bool, err error) {
	for changed := false; !changed && err == nil; {
		select {
		case <-ctx.Done():
			return false, nil
		case <-timer:
			return true, nil
		case e, ok := <-w.files.inotify.Events:
			changed, err = w.fileEvent(e, ok)
		case lost := <-w.files.inotify.Errors:
			changed, err = true, fileError(lost)
		case u, ok := <-w.updates.updates:
			changed, err = w.neighbourEvent(u, ok)
		case _, ok := <-w.bus.changes:
			changed = w.busEvent(ok)
		}
	}
	if err != nil {
		return false, err
	}
	return false, w.drain()
}

// drain discards the events in the queues: the next look covers them.
func (w *Waiter) drain() error {
	for {
		var err error
		select {
		case e, ok := <-w.files.inotify.Events:
			_, err = w.fileEvent(e, ok)
		case lost := <-w.files.inotify.Errors:
			err = fileError(lost)
		case u, ok := <-w.updates.updates:
			_, err = w.neighbourEvent(u, ok)
		case _, ok := <-w.bus.changes:
			w.busEvent(ok)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// fileEvent reports whether an event is about one of the files.
func (w *Waiter) fileEvent(e fsnotify.Event, ok bool) (bool, error) {
	if !ok {
		return false, fsnotify.ErrClosed
	}
	return w.files.concerns(e), nil
}

// fileError returns nil for a queue that overflowed: events are lost, and the next look covers them.
func fileError(err error) error {
	if err == nil || errors.Is(err, fsnotify.ErrEventOverflow) { // nil: the queue is closed, and so is that of the events
		return nil
	}
	return fmt.Errorf("watch lease files: %w", err)
}

// neighbourEvent reports whether an update is about the guest. If the subscription ended because events came faster
// than they were read, it subscribes again, which counts as a change.
func (w *Waiter) neighbourEvent(u netlink.NeighUpdate, ok bool) (bool, error) {
	if ok {
		return concerns(u, w.query.MAC, w.candidates), nil
	}
	if overrun, err := w.updates.overrun(); !overrun {
		return false, err
	}
	updates, err := subscribe()
	if err != nil {
		return false, err
	}
	w.updates.close()
	w.updates = updates
	return true, nil
}

// busEvent reports that networkd's leases have changed. After the connection has ended there are no more events.
func (w *Waiter) busEvent(ok bool) bool {
	if !ok {
		w.bus.changes = nil
	}
	return true
}

// verify makes the kernel verify the addresses in doubt. The kernel does not do that by itself, so it would never
// find a guest that restarts with a fixed address, or whose lease expired because its server stopped, and that sends
// nothing to the host. A packet to an unknown address makes the kernel look for it, and a packet to a STALE entry
// makes the kernel probe the known MAC after delay_first_probe_time, 5 s (RFC 4861, section 7.3.3; the same for ARP).
// With a reply the entry becomes REACHABLE and confirmed, else it is removed. The subscription reports both.
func (w *Waiter) verify(ctx context.Context, reports []Report) {
	for _, a := range askable(reports) {
		if conn := sendNothing(ctx, w.link.name, a.IP); conn != nil {
			_ = conn.Close()
		}
	}
}

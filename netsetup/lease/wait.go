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

// settle is how long an address has to stand without a new lease before it is believed on lesser evidence.
//
// A DHCP server offers before it gives: dnsmasq puts the address that it offers into the kernel's neighbour table
// (src/dhcp.c, SIOCSARP), where it looks like one in use, and the lease follows when the guest has asked for it.
const settle = time.Second

// A Waiter waits for a guest's address. It is for one goroutine at a time.
type Waiter struct {
	query Query
	link  link
	base  *baseline
	files *tree
	kin   *subscription
	bus   busWatch

	candidates []netip.Addr // the addresses of the last look
	server     string       // the lease file of the bridge's server, once it was looked for
}

// NewWaiter notes what the sources hold now, and hears of every change from here on; so it is to be made before the
// guest is started, with a Query whose Since is zero. Of a guest that runs already Since says since when, and an
// address that may be of this start is then believed.
//
// Errors: ErrNoBridge; no inotify watch to be had, with the kernel's limit that is reached; no netlink socket.
// The caller must Close the Waiter.
func NewWaiter(q Query) (*Waiter, error) {
	l, err := findLink(q.Bridge)
	if err != nil {
		return nil, fmt.Errorf("bridge %s: %w", q.Bridge, err)
	}
	return newWaiter(q, l)
}

func newWaiter(q Query, l link) (*Waiter, error) {
	kin, err := subscribe()
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, f := range files(q.Root, q.Bridge) {
		paths = append(paths, f.path)
	}
	tree, err := newTree(q.Root, paths)
	if err != nil {
		kin.close()
		return nil, err
	}
	bus := watchNetworkd(q.Root, l) // before the leases are read
	base := newBaseline(see(context.Background(), q, l, ""))
	return &Waiter{query: q, link: l, base: base, files: tree, kin: kin, bus: bus}, nil
}

// Close ends the watches and the goroutines behind them.
func (w *Waiter) Close() error {
	w.kin.close()
	w.bus.close()
	return w.files.close()
}

// Wait returns the guest's address as soon as it is known. When ctx ends first the error is a *WaitError around
// context.Cause(ctx) that tells the stage reached; any other error means that there is nothing left to wait for.
//
// progress, which may be nil, is called with each higher Stage, from within Wait.
func (w *Waiter) Wait(ctx context.Context, progress func(Stage)) (Address, error) {
	stage := climb{tell: progress}
	var seen sight
	var calm <-chan time.Time // fires once, when what is at hand has stood for long enough
	for isCalm := false; ctx.Err() == nil; {
		var err error
		if seen, err = w.look(ctx); err != nil {
			return Address{}, w.failure(err)
		}
		if seen.settled(isCalm) {
			stage.to(Addressed)
			return seen.address, nil
		}
		if w.findServer(ctx) {
			continue
		}
		stage.to(seen.stage)
		w.nudge(ctx, seen.reports)
		if seen.belief == later && calm == nil {
			calm = time.After(settle)
		}
		fired, err := w.next(ctx, calm)
		if err != nil {
			return Address{}, w.failure(err)
		}
		isCalm = isCalm || fired
	}
	return Address{}, &WaitError{Query: w.query, Stage: stage.reached, Reports: seen.reports, Err: context.Cause(ctx)}
}

// findServer looks for the lease file of the bridge's server, once, and says whether there is one to be read besides.
// What it holds then was there before: a guest that was started just now cannot have a lease yet.
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

// Follow tells the addresses that are believed, at once and after each change, until ctx ends: a guest may take another
// one after its first. They are in the order of [All]; those that the sources do not hold any more are left out. The
// error says what broke the watch; the end of ctx is none.
func (w *Waiter) Follow(ctx context.Context, tell func([]Address)) error {
	for ctx.Err() == nil {
		seen, err := w.look(ctx)
		if err != nil {
			return w.failure(err)
		}
		tell(seen.believed)
		w.nudge(ctx, seen.reports)
		if _, err := w.next(ctx, nil); err != nil {
			return w.failure(err)
		}
	}
	return nil
}

func (w *Waiter) failure(err error) error {
	return fmt.Errorf("wait for the address of %s: %w", w.query.MAC, err)
}

// A sight is what one look at the sources has shown.
type sight struct {
	reports []Report
	stage   Stage
	address Address // the one to believe first
	belief  belief

	believed []Address // all that can be believed, now or later
}

// settled says whether the address can be given: at once, or because what is at hand has stood for long enough.
func (s sight) settled(isCalm bool) bool { return s.belief == now || s.belief == later && isCalm }

// look reads the sources, and picks the address to believe first. The watches are set before the files are read: what
// changes after that makes an event.
func (w *Waiter) look(ctx context.Context) (sight, error) {
	if err := w.files.arm(); err != nil {
		return sight{}, err
	}
	v := see(context.WithoutCancel(ctx), w.query, w.link, w.server) // a few small files: a half look is no use to anyone
	w.base.mend(v)
	w.candidates = v.candidates(w.query)
	s := sight{reports: judge(w.query, v, w.base)}
	sends := w.base.sends(w.query, v.sighting)
	s.stage = stageOf(s.reports, sends)
	all := All(s.reports)
	s.address, s.belief = pick(all, sends)
	s.believed = slices.DeleteFunc(all, func(a Address) bool { return believe(a, sends) == never })
	return s, nil
}

// next returns after something has changed that can bear on the answer, or ctx has ended, or the timer has fired. All
// that has changed until then counts as one change.
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
		case u, ok := <-w.kin.updates:
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

// drain takes the events that are queued already: the look that follows covers them.
func (w *Waiter) drain() error {
	for {
		var err error
		select {
		case e, ok := <-w.files.inotify.Events:
			_, err = w.fileEvent(e, ok)
		case lost := <-w.files.inotify.Errors:
			err = fileError(lost)
		case u, ok := <-w.kin.updates:
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

// fileEvent says whether an event is about one of the files.
func (w *Waiter) fileEvent(e fsnotify.Event, ok bool) (bool, error) {
	if !ok {
		return false, fsnotify.ErrClosed
	}
	return w.files.concerns(e), nil
}

// fileError is nil for a queue that ran over: events are lost, and the next look makes up for them.
func fileError(err error) error {
	if err == nil || errors.Is(err, fsnotify.ErrEventOverflow) { // nil: closed, and then so are the events
		return nil
	}
	return fmt.Errorf("watch lease files: %w", err)
}

// neighbourEvent says whether an update is about the guest. When the subscription has ended because events came faster
// than they were read, it subscribes anew, and that counts as a change.
func (w *Waiter) neighbourEvent(u netlink.NeighUpdate, ok bool) (bool, error) {
	if ok {
		return concerns(u, w.query.MAC, w.candidates), nil
	}
	if overrun, err := w.kin.overrun(); !overrun {
		return false, err
	}
	kin, err := subscribe()
	if err != nil {
		return false, err
	}
	w.kin.close()
	w.kin = kin
	return true, nil
}

// busEvent says that networkd's leases have changed. A bus that has gone tells nothing any more.
func (w *Waiter) busEvent(ok bool) bool {
	if !ok {
		w.bus.changes = nil
	}
	return true
}

// nudge has the kernel ask after the addresses that are in doubt; it does not by itself, so a guest that starts again with
// its fixed address, or one whose lease has ended because its server did, and has nothing to say to the host, would never
// be found. Who sends to an address has the kernel look for it, and who sends to an entry that is STALE has it ask the
// MAC that it knows (RFC 4861, section 7.3.3; the same for ARP): after delay_first_probe_time, 5 s. With the answer the
// entry is REACHABLE and confirmed, or it goes. The subscription tells of both.
func (w *Waiter) nudge(ctx context.Context, reports []Report) {
	for _, a := range askable(reports) {
		if conn := sendNothing(ctx, w.link.name, a.IP); conn != nil {
			_ = conn.Close()
		}
	}
}

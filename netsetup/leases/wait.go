package leases

import (
	"context"
	"errors"
	"fmt"
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
}

// NewWaiter notes what the sources hold now, and hears of every change from here on; so it is to be made before the
// guest is started, with a Query whose Since is zero. Of a guest that runs already Since says since when, and an
// address that may be of this start is then believed.
//
// Errors: no such bridge; no inotify watch to be had, with the kernel's limit that is reached; no netlink socket.
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
	for _, f := range files(q) {
		paths = append(paths, f.path)
	}
	tree, err := newTree(q.Root, paths)
	if err != nil {
		kin.close()
		return nil, err
	}
	base := newBaseline(see(context.Background(), q, l, nil))
	return &Waiter{query: q, link: l, base: base, files: tree, kin: kin}, nil
}

// Close ends the watches and the goroutines behind them.
func (w *Waiter) Close() error {
	w.kin.close()
	return w.files.close()
}

// Wait returns the guest's address as soon as it is known. When ctx ends first the error is a *WaitError around
// context.Cause(ctx) that tells the stage reached; any other error means that there is nothing left to wait for.
//
// progress, which may be nil, is called with each higher Stage, from within Wait.
func (w *Waiter) Wait(ctx context.Context, progress func(Stage)) (Address, error) {
	if progress == nil {
		progress = func(Stage) {}
	}
	var seen sight
	reached := Silent
	advance := func(s Stage) {
		if s > reached {
			reached = s
			progress(s)
		}
	}
	settled := time.NewTimer(settle)
	settled.Stop()
	defer settled.Stop()
	for waiting, timeUp := false, false; ctx.Err() == nil; {
		seen = w.look(ctx)
		if seen.belief == now || seen.belief == later && timeUp {
			advance(Addressed)
			return seen.address, nil
		}
		advance(seen.stage)
		if seen.belief == later && !waiting {
			settled.Reset(settle)
			waiting = true
		}
		fired, err := w.next(ctx, settled.C)
		if err != nil {
			return Address{}, fmt.Errorf("wait for the address of %s: %w", w.query.MAC, err)
		}
		timeUp = timeUp || fired
	}
	return Address{}, &WaitError{Query: w.query, Stage: reached, Reports: seen.reports, Err: context.Cause(ctx)}
}

// A sight is what one look at the sources has shown.
type sight struct {
	reports []Report
	stage   Stage
	address Address // the one to believe first
	belief  belief
}

// look reads the sources, and picks the address to believe first.
func (w *Waiter) look(ctx context.Context) sight {
	v := see(ctx, w.query, w.link, nil)
	w.base.mend(v)
	s := sight{reports: judge(w.query, v, w.base)}
	sends := w.base.sends(w.query, v.sighting)
	s.stage = stageOf(s.reports, sends)
	s.address, s.belief = pick(All(s.reports), sends)
	return s
}

// next returns after something has changed that can bear on the answer, or ctx has ended, or the timer has fired. All
// that has changed until then counts as one change.
func (w *Waiter) next(ctx context.Context, timer <-chan time.Time) (timeUp bool, err error) {
	for changed := false; !changed; {
		select {
		case <-ctx.Done():
			return false, nil
		case <-timer:
			return true, nil
		case e, ok := <-w.files.inotify.Events:
			changed, err = w.fileEvent(e, ok)
		case lost, ok := <-w.files.inotify.Errors:
			changed, err = w.fileError(lost, ok)
		case u, ok := <-w.kin.updates:
			changed, err = w.neighbourEvent(u, ok)
		}
		if err != nil {
			return false, err
		}
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
		case u, ok := <-w.kin.updates:
			_, err = w.neighbourEvent(u, ok)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (w *Waiter) fileEvent(e fsnotify.Event, ok bool) (bool, error) {
	if !ok {
		return false, fsnotify.ErrClosed
	}
	if !w.files.concerns(e) {
		return false, nil
	}
	return true, w.files.arm()
}

// fileError: a queue that ran over has lost events, so everything is looked at again.
func (w *Waiter) fileError(err error, ok bool) (bool, error) {
	if !ok {
		return false, fsnotify.ErrClosed
	}
	if errors.Is(err, fsnotify.ErrEventOverflow) {
		return true, w.files.arm()
	}
	return false, fmt.Errorf("watch lease files: %w", err)
}

// neighbourEvent subscribes anew when events came faster than they were read, and counts that as a change.
func (w *Waiter) neighbourEvent(u netlink.NeighUpdate, ok bool) (bool, error) {
	if ok {
		return concerns(u, w.query.MAC), nil
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

package lease

import (
	"fmt"
)

// A Stage is how far a starting guest has come, as seen from the network.
type Stage int

// The stages, in the order in which they are reached. Some may be passed unseen.
const (
	Silent    Stage = iota // nothing has come from the guest
	Frames                 // the guest's MAC sends frames
	Leased                 // and there is a lease for it, which may be an old one, or refused
	Addressed              // the address is known
)

// String says the stage as a fact.
func (s Stage) String() string {
	switch s {
	case Silent:
		return "the guest has sent no frames"
	case Frames:
		return "the guest sends frames and has no lease"
	case Leased:
		return "the guest sends frames and its lease is old or refused"
	case Addressed:
		return "the guest has an address"
	}
	return fmt.Sprintf("Stage(%d)", int(s))
}

// A climb is the way up through the stages: only the higher ones are told.
type climb struct {
	reached Stage
	tell    func(Stage) // may be nil
}

func (c *climb) to(s Stage) {
	if s > c.reached && c.tell != nil {
		c.tell(s)
	}
	c.reached = max(c.reached, s)
}

// A WaitError says how far the guest had come when the wait was given up.
type WaitError struct {
	Query Query
	Stage Stage

	// Reports are those of the last look: unlike those of Look they were compared with what was there before the
	// start. nil when ctx had ended before the first.
	Reports []Report
	Err     error // the context's cause
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("no address for %s on %s: %s: %v", e.Query.MAC, e.Query.Bridge, e.Stage, e.Err)
}

// Unwrap gives the context's cause.
func (e *WaitError) Unwrap() error { return e.Err }

// belief is whether an address can be given to the caller.
type belief int

const (
	never belief = iota
	later        // when no better one has come for a while
	now
)

// pick chooses from addresses in the order of All. sends says whether the guest has sent frames since its start.
func pick(all []Address, sends bool) (Address, belief) {
	var lesser Address
	found := never
	for _, a := range all {
		switch b := believe(a, sends); {
		case b == now:
			return a, now
		case b == later && found == never:
			lesser, found = a, later
		}
	}
	return lesser, found
}

// believe says whether an address is this start's. IPv6 waits for a moment too: IPv4 often follows, and is what most
// people mean by a guest's address. An old lease that ends is written anew when the guest asks for an
// address, so it is worth a moment's wait; one without an end stays as it is, in dnsmasq's file at least.
func believe(a Address, sends bool) belief {
	lasting := a.Expiry.IsZero()
	switch {
	case a.IP.IsLinkLocalUnicast():
		return never
	case !a.IsLease() && a.Freshness == Older:
		return never
	case !a.IsLease():
		return later
	case a.Holder != "": // it may have been given to this guest since
		return later
	case a.IP.Is4() && (a.Freshness != Older || a.Live && lasting):
		return now
	case a.Freshness != Older, a.Live, sends && lasting:
		return later
	}
	return never
}

// stageOf is the stage that the reports show, as long as no address is believed.
func stageOf(reports []Report, sends bool) Stage {
	stage := Silent
	for _, r := range reports {
		for _, a := range r.Addresses {
			sends = sends || a.Live
		}
	}
	if sends {
		stage = Frames
	}
	for _, r := range reports {
		if sends && r.Matched && r.Source != Neighbours && r.Source != FDB && r.Source != Agent {
			stage = Leased
		}
	}
	return stage
}

// Refused is the first address that a source of the host's holds for the guest, and that cannot be its own here: its field
// of that name says why. What the guest's agent claims is left out: a guest can claim any address, and that explains nothing.
func Refused(reports []Report) (Address, bool) {
	for _, r := range reports {
		for _, a := range r.Addresses {
			if a.Refused != "" && a.Source != Agent {
				return a, true
			}
		}
	}
	return Address{}, false
}

// Reached is the stage that reports show of a guest that has no address yet, and was started at the time in the query.
func Reached(q Query, reports []Report) Stage {
	sends := false
	for _, r := range reports {
		sends = sends || r.Source == FDB && r.Matched && r.Modified.After(q.Since)
	}
	return stageOf(reports, sends)
}

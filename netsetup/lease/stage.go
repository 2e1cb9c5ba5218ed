package lease

import (
	"fmt"
)

// Stage is how far a starting guest has come, as seen from the network.
type Stage int

// The stages, in the order in which they are reached. A guest may skip some.
const (
	Silent    Stage = iota // the guest has sent no frames
	Frames                 // the guest's MAC sends frames
	Leased                 // there is a lease for it, which may be old or refused
	Addressed              // the address is known
)

// String describes the stage.
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

// stageReporter reports each stage that is higher than those before.
type stageReporter struct {
	reached Stage
	tell    func(Stage) // may be nil
}

func (c *stageReporter) to(s Stage) {
	if s > c.reached && c.tell != nil {
		c.tell(s)
	}
	c.reached = max(c.reached, s)
}

// WaitError says how far the guest had come when the wait ended.
type WaitError struct {
	Query Query
	Stage Stage

	// Reports are those of the last look, compared with the baseline from before the start. nil if ctx ended before
	// the first look.
	Reports []Report
	Err     error // the context's cause
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("no address for %s on %s: %s: %v", e.Query.MAC, e.Query.Bridge, e.Stage, e.Err)
}

// Unwrap returns the cause of the context's end.
func (e *WaitError) Unwrap() error { return e.Err }

// acceptance says when an address can be returned to the caller.
type acceptance int

const (
	never acceptance = iota
	later            // if no better one appears for settleTime
	now
)

// pick chooses from addresses in the order of All. sends says whether the guest has sent frames since its start.
func pick(all []Address, sends bool) (Address, acceptance) {
	var lesser Address
	found := never
	for _, a := range all {
		switch b := accept(a, sends); {
		case b == now:
			return a, now
		case b == later && found == never:
			lesser, found = a, later
		}
	}
	return lesser, found
}

// accept says when an address can be taken for the one of this start. IPv6 waits for a moment, since IPv4 often
// follows, and is what most users expect. An old lease with an expiry is written again when the guest requests an
// address, so it waits, too; one without an expiry does not change, at least in dnsmasq's file.
func accept(a Address, sends bool) acceptance {
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

// stageOf returns the stage that the reports show while no address is accepted.
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

// Refused returns the first address that a source on the host has for the guest but that cannot be the guest's; its
// field Refused says why. It ignores addresses from the guest's agent, which can report anything.
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

// Reached returns the stage that the reports show, for a guest that has no address yet and was started at q.Since.
func Reached(q Query, reports []Report) Stage {
	sends := false
	for _, r := range reports {
		sends = sends || r.Source == FDB && r.Matched && r.Modified.After(q.Since)
	}
	return stageOf(reports, sends)
}

package lease

import (
	"errors"
	"io/fs"
	"net/netip"
	"time"
)

// A baseline is what the sources held before the guest was started. The methods take a nil one for "was not there".
type baseline struct {
	at         time.Time
	issues     map[issue]bool
	torn       map[string]bool // files that could not be read whole: see mend
	neighbours map[netip.Addr]bool
	frames     bool // the bridge knew the MAC
}

// An issue is one giving of a lease.
type issue struct {
	path  string
	ip    netip.Addr
	stamp string
}

func newBaseline(v view) *baseline {
	b := &baseline{at: v.at, issues: map[issue]bool{}, torn: map[string]bool{}, neighbours: map[netip.Addr]bool{}}
	b.frames = v.sighting.port != ""
	for _, r := range v.files {
		b.add(r)
	}
	for _, n := range v.neighbours {
		b.neighbours[n.ip] = true
	}
	return b
}

func (b *baseline) add(r reading) {
	b.torn[r.path] = r.torn || r.err != nil && !errors.Is(r.err, fs.ErrNotExist)
	for _, l := range r.leases {
		b.issues[issue{r.path, l.ip, l.issue}] = true
	}
}

// mend adds the files that could be read in part only, or not at all, before. A writer that was at work when the guest
// was not started yet is done long before the guest can have booted; and of a file that has become readable nobody can
// say what is new in it.
func (b *baseline) mend(v view) {
	for _, r := range v.files {
		if b.torn[r.path] {
			b.add(r)
		}
	}
}

// has says whether the lease was there already, given at the same time.
func (b *baseline) has(path string, l lease) bool { return b.issues[issue{path, l.ip, l.issue}] }

// live says whether the kernel has seen the guest use the address since it was started. When the start is not known,
// an entry that the kernel holds for good now has to do.
func (b *baseline) live(q Query, n neighbour) bool {
	switch {
	case b != nil && !b.neighbours[n.ip]:
		return true
	case !q.Since.IsZero():
		return n.seen().After(q.Since)
	case b != nil:
		return n.seen().After(b.at)
	}
	return stateName(n.state) == "REACHABLE"
}

// sends says whether the guest has sent frames since it was started.
func (b *baseline) sends(q Query, s sighting) bool {
	switch {
	case s.port == "":
		return false
	case b != nil && !b.frames:
		return true
	case !q.Since.IsZero():
		return s.last.After(q.Since)
	case b != nil:
		return s.last.After(b.at)
	}
	return true
}

package lease

import (
	"errors"
	"io/fs"
	"net/netip"
	"time"
)

// baseline is what the sources had before the guest was started. All methods accept nil: there is no baseline.
type baseline struct {
	at         time.Time
	issues     map[issue]bool
	incomplete map[string]bool // files that could not be read completely: see addUnread
	neighbours map[netip.Addr]bool
	frames     bool // the bridge had seen the MAC
}

// issue identifies one lease as it was granted once.
type issue struct {
	path  string
	ip    netip.Addr
	stamp string
}

func newBaseline(v view) *baseline {
	b := &baseline{at: v.at, issues: map[issue]bool{}, incomplete: map[string]bool{}, neighbours: map[netip.Addr]bool{}}
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
	b.incomplete[r.path] = r.incomplete || r.err != nil && !errors.Is(r.err, fs.ErrNotExist)
	for _, l := range r.leases {
		b.issues[issue{r.path, l.ip, l.issue}] = true
	}
}

// addUnread adds the files that could not be read, or not completely, when the baseline was made. A server that was
// writing at that time is done long before the guest has booted; and in a file that has become readable nobody can
// know what is new.
func (b *baseline) addUnread(v view) {
	for _, r := range v.files {
		if b.incomplete[r.path] {
			b.add(r)
		}
	}
}

// has reports whether the lease was in the baseline, granted at the same time.
func (b *baseline) has(path string, l lease) bool { return b.issues[issue{path, l.ip, l.issue}] }

// live reports whether the kernel has seen the guest use the address since its start. If the time of the start is not
// known, an entry that is reachable now is enough.
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

// sends reports whether the guest has sent frames since its start.
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

package leases

import (
	"context"
	"time"
)

// A Report is what one source knew.
type Report struct {
	Source    Source        `json:"source"`
	Path      string        `json:"path"`     // the lease file, or the command that shows the kernel's table
	Readable  bool          `json:"readable"` // it was there, this user may read it, and it made sense
	Reason    string        `json:"reason,omitzero"`
	Entries   int           `json:"entries"`           // that it holds, for whichever guest
	Skipped   int           `json:"skipped"`           // that made no sense
	Matched   bool          `json:"matched"`           // the guest's MAC is among them
	Modified  time.Time     `json:"modified,omitzero"` // when the file was written, or the last frame came
	Age       time.Duration `json:"-"`                 // since then, when the source was asked
	Addresses []Address     `json:"addresses,omitzero"`
	Verdict   string        `json:"verdict"` // in words
}

// Look asks every source once. The reports come in a fixed order, one for each place that was asked, the unreadable
// ones too. It blocks only on reading files, and stops asking when ctx ends.
func Look(ctx context.Context, q Query) []Report {
	l, err := findLink(q.Bridge)
	return judge(q, see(ctx, q, l, err), nil)
}

// A view is everything that the sources hold at one time.
type view struct {
	at         time.Time
	link       link
	files      []reading
	neighbours []neighbour
	sighting   sighting
	kernel     kernelView
}

// kernelView is how the two tables of the kernel were read.
type kernelView struct {
	neighbours, frames       int
	neighbourErr, sightedErr error
}

// see reads every source. linkErr says why there is no link.
func see(ctx context.Context, q Query, l link, linkErr error) view {
	v := view{link: l}
	for _, f := range files(q) {
		v.files = append(v.files, f.read(ctx))
	}
	v.at = time.Now()
	if linkErr != nil {
		v.kernel.neighbourErr, v.kernel.sightedErr = linkErr, linkErr
		return v
	}
	v.neighbours, v.kernel.neighbours, v.kernel.neighbourErr = neighbours(l, q.MAC, v.at)
	v.sighting, v.kernel.frames, v.kernel.sightedErr = seeFrames(l, q.MAC, v.at)
	return v
}

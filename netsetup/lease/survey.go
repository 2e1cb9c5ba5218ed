package lease

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
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

// With is the picture with a lease file that a server was told to keep, in dnsmasq's form: see [Query].
func (p Picture) With(ctx context.Context, root, path string) Picture {
	if f, ok := serverFile(root, path, p.files); ok {
		p.files = append(slices.Clip(p.files), f.read(ctx))
	}
	return p
}

// A Picture is everything that the sources of one bridge held at one time, for whichever guest.
type Picture struct {
	at                       time.Time
	link                     link
	files                    []reading
	neighbours, frames       []netlink.Neigh
	head                     headStart
	neighbourErr, sightedErr error // why a table of the kernel could not be read
}

// Survey asks every source of a bridge once, for the addresses of several guests: it is [Look]'s reading without its
// judgement, and takes no longer for many guests than for one. Root is [Query]'s.
func Survey(ctx context.Context, root, bridge string) Picture {
	l, err := findLink(bridge)
	return survey(ctx, root, bridge, l, err)
}

// survey reads every source. linkErr says why there is no link.
func survey(ctx context.Context, root, bridge string, l link, linkErr error) Picture {
	p := Picture{link: l}
	for _, f := range files(root, bridge) {
		p.files = append(p.files, f.read(ctx))
	}
	p.files = append(p.files, askNetworkd(ctx, root, link{index: l.index, name: bridge}, p.files))
	p.at = time.Now()
	if linkErr != nil {
		p.neighbourErr, p.sightedErr = linkErr, linkErr
		return p
	}
	p.head = readHeadStart(l)
	p.neighbours, p.neighbourErr = listNeighbours(l)
	p.frames, p.sightedErr = listFrames(l)
	return p
}

// A view is what a picture shows of one guest.
type view struct {
	at         time.Time
	link       link
	files      []reading
	neighbours []neighbour
	sighting   sighting
	kernel     kernelView
	ways       map[netip.Addr]way     // to the addresses that the guest may have
	holdings   map[netip.Addr]holding // of the same
	answered   map[netip.Addr]bool    // those that answered just now, when they were asked
}

// kernelView is how the two tables of the kernel were read.
type kernelView struct {
	neighbours, frames       int
	neighbourErr, sightedErr error
}

func (p Picture) view(q Query) view {
	v := view{
		at: p.at, link: p.link, files: p.files,
		neighbours: neighboursOf(p.neighbours, p.head, q.MAC, p.at), sighting: seeFrames(p.frames, q.MAC, p.at),
		kernel: kernelView{countKnown(p.neighbours), len(p.frames), p.neighbourErr, p.sightedErr},
	}
	ips := v.candidates(q)
	v.ways, v.holdings = p.link.waysOf(ips), holdingsOf(p.neighbours, ips)
	return v
}

// candidates are the addresses that the sources hold for a guest.
func (v view) candidates(q Query) []netip.Addr {
	var ips []netip.Addr
	for _, r := range v.files {
		for _, l := range r.leases {
			if same(l.mac, q.MAC) {
				ips = append(ips, l.ip)
			}
		}
	}
	for _, n := range v.neighbours {
		ips = append(ips, n.ip)
	}
	return ips
}

// see reads every source for one guest, and the file of the server, where that is known.
func see(ctx context.Context, q Query, l link, server string) view {
	return survey(ctx, q.Root, q.Bridge, l, nil).With(ctx, q.Root, server).view(q)
}

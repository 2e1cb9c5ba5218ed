package lease

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
)

// Report is what one source has.
type Report struct {
	Source    Source        `json:"source"`
	Path      string        `json:"path"`     // the lease file, or the command that shows the kernel's table
	Readable  bool          `json:"readable"` // it exists, this user may read it, and it is valid
	Reason    string        `json:"reason,omitzero"`
	Entries   int           `json:"entries"`           // for all guests
	Skipped   int           `json:"skipped"`           // invalid entries
	Matched   bool          `json:"matched"`           // the guest's MAC is among them
	Modified  time.Time     `json:"modified,omitzero"` // when the file was written, or the last frame came
	Age       time.Duration `json:"-"`                 // since Modified, when the source was read
	Addresses []Address     `json:"addresses,omitzero"`
	Verdict   string        `json:"verdict"` // in words
}

// With returns the snapshot with a lease file that a server was configured to use, in dnsmasq's format: see [Query].
func (p Snapshot) With(ctx context.Context, root, path string) Snapshot {
	if f, ok := serverFile(root, path, p.files); ok {
		p.files = append(slices.Clip(p.files), f.read(ctx))
	}
	return p
}

// Snapshot is everything that the sources of one bridge have at one time, for all guests.
type Snapshot struct {
	at                       time.Time
	link                     link
	files                    []reading
	neighbours, frames       []netlink.Neigh
	head                     headStart
	neighbourErr, sightedErr error // why a table of the kernel could not be read
}

// Survey reads every source of a bridge once, for the addresses of several guests. It takes no longer for many guests
// than for one. root is as in [Query].
func Survey(ctx context.Context, root, bridge string) Snapshot {
	l, err := findLink(bridge)
	return survey(ctx, root, bridge, l, err)
}

// survey reads every source. linkErr says why there is no link.
func survey(ctx context.Context, root, bridge string, l link, linkErr error) Snapshot {
	p := Snapshot{link: l}
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

// view is the part of a snapshot about one guest.
type view struct {
	at         time.Time
	link       link
	files      []reading
	neighbours []neighbour
	sighting   sighting
	kernel     kernelView
	ways       map[netip.Addr]way     // to the addresses that the guest may have
	holdings   map[netip.Addr]holding // of the same addresses
	answered   map[netip.Addr]bool    // those from which a reply came just now
}

// kernelView has the sizes of the kernel's two tables, and the errors of reading them.
type kernelView struct {
	neighbours, frames       int
	neighbourErr, sightedErr error
}

func (p Snapshot) view(q Query) view {
	v := view{
		at: p.at, link: p.link, files: p.files,
		neighbours: neighboursOf(p.neighbours, p.head, q.MAC, p.at), sighting: seeFrames(p.frames, q.MAC, p.at),
		kernel: kernelView{countKnown(p.neighbours), len(p.frames), p.neighbourErr, p.sightedErr},
	}
	ips := v.candidates(q)
	v.ways, v.holdings = p.link.waysOf(ips), holdingsOf(p.neighbours, ips)
	return v
}

// candidates returns the addresses that the sources have for a guest.
func (v view) candidates(q Query) []netip.Addr {
	var ips []netip.Addr
	for _, r := range v.files {
		for _, l := range r.leases {
			if sameMAC(l.mac, q.MAC) {
				ips = append(ips, l.ip)
			}
		}
	}
	for _, n := range v.neighbours {
		ips = append(ips, n.ip)
	}
	return ips
}

// see reads every source for one guest, and the server's lease file if it is known.
func see(ctx context.Context, q Query, l link, server string) view {
	return survey(ctx, q.Root, q.Bridge, l, nil).With(ctx, q.Root, server).view(q)
}

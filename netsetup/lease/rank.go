package lease

import (
	"cmp"
	"net/netip"
	"slices"
)

// All are the addresses in the reports, the likeliest first and each once, without the refused ones. Link-local
// addresses stand last.
func All(reports []Report) []Address {
	var all []Address
	for _, r := range reports {
		for _, a := range r.Addresses {
			if a.Refused == "" {
				all = append(all, a)
			}
		}
	}
	slices.SortStableFunc(all, compare)
	seen := map[netip.Addr]bool{}
	return slices.DeleteFunc(all, func(a Address) bool {
		again := seen[a.IP]
		seen[a.IP] = true
		return again
	})
}

// Best is the likeliest address in the reports, and false when there is none. It is never link-local.
func Best(reports []Report) (Address, bool) {
	all := All(reports)
	if len(all) == 0 || all[0].IP.IsLinkLocalUnicast() {
		return Address{}, false
	}
	return all[0], true
}

// compare orders two addresses: by rank, then IPv4 first, then the lease that lasts longer, then the order of the
// sources.
func compare(a, b Address) int {
	return cmp.Or(
		cmp.Compare(rank(a), rank(b)),
		cmp.Compare(a.IP.BitLen(), b.IP.BitLen()),
		byExpiry(a, b),
	)
}

// rank is how far an address is to be believed, the best being 0.
func rank(a Address) int {
	lasting := a.IsLease() && a.Neighbour != "FAILED" // where nobody answers any more, an address in use counts more
	order := []bool{
		a.IP.IsLinkLocalUnicast(), a.Holder != "", // they come last
		lasting && a.Freshness == ThisStart,
		lasting && a.Live,
		lasting && a.Freshness == Unknown,
		lasting,
		a.Live, // a guest with a fixed address
		a.Source == Agent,
		a.IsLease(),
		a.Neighbour != "STALE",
	}
	i := slices.Index(order, true)
	switch i {
	case -1:
		return len(order)
	case 0, 1:
		return 2*len(order) - i
	}
	return i
}

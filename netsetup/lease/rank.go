package lease

import (
	"cmp"
	"net/netip"
	"slices"
)

// All returns the addresses in the reports, the most likely first and each once, without refused ones. Link-local
// addresses are last.
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

// Best returns the most likely address in the reports, and false if there is none. It is never link-local.
func Best(reports []Report) (Address, bool) {
	all := All(reports)
	if len(all) == 0 || all[0].IP.IsLinkLocalUnicast() {
		return Address{}, false
	}
	return all[0], true
}

// compare orders two addresses: by rank, then IPv4 first, then the longer lease, then the order of the sources.
func compare(a, b Address) int {
	return cmp.Or(
		cmp.Compare(rank(a), rank(b)),
		cmp.Compare(a.IP.BitLen(), b.IP.BitLen()),
		byExpiry(a, b),
	)
}

// rank returns how likely an address is; 0 is the most likely.
func rank(a Address) int {
	lasting := a.IsLease() && a.Neighbour != "FAILED" // if no host replies at it, an address in use is more likely
	order := []bool{
		a.IP.IsLinkLocalUnicast(), a.Holder != "", // these are last
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

package lease

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

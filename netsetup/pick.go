package netsetup

import (
	"cmp"
	"slices"
	"strings"
)

// Auto is the name of whichever bridge [PickBridge] picks.
const Auto = "auto"

// PickBridge is the bridge for a NIC that names none: the first of virbr0 (libvirt's), qlbr0 (our own), then the
// others by name, that is up and that the ACL allows. Without a bridge on the host the error is an [*Error] with
// [ErrNoBridge]; when none fits it is a [*NoneFits]; an ACL that allows nothing at all is its own error, as from [Allowed].
func PickBridge(acl string) (Bridge, error) {
	bridges, err := Bridges()
	if err != nil {
		return Bridge{}, err
	}
	return pick(bridges, func(name string) (Verdict, error) { return Allowed(acl, name) })
}

// NoneFits says of each bridge of the host why a guest cannot use it, in the order in which they were tried.
// [errors.Is] and [errors.As] find the reasons.
type NoneFits struct{ Reasons []error }

func (e *NoneFits) Error() string {
	texts := make([]string, len(e.Reasons))
	for i, r := range e.Reasons {
		texts[i] = r.Error()
	}
	return "no bridge fits: " + strings.Join(texts, "; ")
}

// Unwrap are the reasons.
func (e *NoneFits) Unwrap() []error { return e.Reasons }

// pick is the choice among bridges that are sorted by name.
func pick(bridges []Bridge, allowed func(name string) (Verdict, error)) (Bridge, error) {
	if len(bridges) == 0 {
		return Bridge{}, &Error{What: "bridge " + Auto, Cause: ErrNoBridge, Bridge: Auto, Detail: "no bridge on this host"}
	}
	none := &NoneFits{}
	for _, b := range preferred(bridges) {
		v, err := allowed(b.Name)
		if err != nil {
			return Bridge{}, err // the same for every bridge
		}
		if err = cmp.Or(upError(b), v.Err()); err == nil {
			return b, nil
		}
		none.Reasons = append(none.Reasons, err)
	}
	return Bridge{}, none
}

// preferred are the bridges with those first that are made for guests.
func preferred(bridges []Bridge) []Bridge {
	rank := func(b Bridge) int {
		first := []string{"virbr0", "qlbr0"}
		if i := slices.Index(first, b.Name); i >= 0 {
			return i
		}
		return len(first)
	}
	sorted := slices.Clone(bridges)
	slices.SortStableFunc(sorted, func(a, b Bridge) int { return rank(a) - rank(b) })
	return sorted
}

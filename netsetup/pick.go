package netsetup

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// Auto is the name that stands for the bridge that [PickBridge] picks.
const Auto = "auto"

// PickBridge returns the bridge for a NIC that names none: the first that is up and that the file acl allows, of virbr0
// (libvirt's), qlbr0 (our own), and the others by name. If the host has no bridge, the error is a [*BridgeError] with
// [ErrNoBridge]; if none qualifies, a [*NoneFits]; for an ACL that allows nothing at all, the error of [Allowed]. root
// is the directory of the host's files, normally "/", which show the bridges that `net setup` made.
func PickBridge(root, acl string) (Bridge, error) {
	bridges, err := Bridges()
	if err != nil {
		return Bridge{}, err
	}
	return pick(bridges, func(name string) (Verdict, error) { return Allowed(acl, name) }, func(name string) bool { return own(root, name) })
}

// NoneFits has for each bridge of the host the reason why a guest cannot use it, in the order in which they were tried.
// [errors.Is] and [errors.As] find the reasons.
type NoneFits struct{ Reasons []error }

func (e *NoneFits) Error() string {
	texts := make([]string, len(e.Reasons))
	for i, r := range e.Reasons {
		texts[i] = r.Error()
	}
	return "no bridge fits: " + strings.Join(texts, "; ")
}

// Nearest returns the reason that is the easiest to remove: that of a bridge made for guests, virbr0 or qlbr0; else
// that an allowed bridge is down; else the first one.
func (e *NoneFits) Nearest() error {
	for _, r := range e.Reasons {
		if slices.Contains(madeForGuests(), TargetOf(r).Bridge) || errors.Is(r, ErrBridgeDown) {
			return r
		}
	}
	return e.Reasons[0]
}

// Unwrap returns the reasons.
func (e *NoneFits) Unwrap() []error { return e.Reasons }

// pick chooses among bridges that are sorted by name. own reports whether a bridge is ours.
func pick(bridges []Bridge, allowed func(name string) (Verdict, error), own func(name string) bool) (Bridge, error) {
	if len(bridges) == 0 {
		none := Failure{What: "bridge " + Auto, Cause: ErrNoBridge, Detail: "no bridge on this host"}
		return Bridge{}, &BridgeError{none, Target{Bridge: Auto, Auto: true}}
	}
	none := &NoneFits{}
	for _, b := range Preferred(bridges) {
		v, err := allowed(b.Name)
		if err != nil {
			return Bridge{}, anyBridge(err) // it is the same for every bridge
		}
		if err = cmp.Or(v.Err(), upError(b, own(b.Name))); err == nil {
			return b, nil
		}
		none.Reasons = append(none.Reasons, anyBridge(err))
	}
	return Bridge{}, none
}

// anyBridge marks an error of a bridge that the user did not name.
func anyBridge(err error) error {
	if t := targetOf(err); t != nil {
		t.Auto = true
	}
	return err
}

// madeForGuests returns the names of the bridges that are made for guests: libvirt's and our own.
func madeForGuests() []string { return []string{"virbr0", "qlbr0"} }

// Preferred returns the bridges, with those made for guests first, libvirt's before our own.
func Preferred(bridges []Bridge) []Bridge {
	rank := func(b Bridge) int {
		first := madeForGuests()
		if i := slices.Index(first, b.Name); i >= 0 {
			return i
		}
		return len(first)
	}
	sorted := slices.Clone(bridges)
	slices.SortStableFunc(sorted, func(a, b Bridge) int { return rank(a) - rank(b) })
	return sorted
}

package netsetup

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// Auto is the name of whichever bridge [PickBridge] picks.
const Auto = "auto"

// PickBridge is the bridge for a NIC that names none: the first of virbr0 (libvirt's), qlbr0 (our own), then the others
// by name, that is up and that the ACL allows. Without a bridge on the host the error is a [*BridgeError] with
// [ErrNoBridge]; when none fits it is a [*NoneFits]; an ACL that allows nothing at all is its own error, as from
// [Allowed]. root is where the host's files are, normally "/": they tell which bridges `net setup` has made.
func PickBridge(root, acl string) (Bridge, error) {
	bridges, err := Bridges()
	if err != nil {
		return Bridge{}, err
	}
	return pick(bridges, func(name string) (Verdict, error) { return Allowed(acl, name) }, func(name string) bool { return own(root, name) })
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

// Nearest is the reason whose cure is the shortest way to a bridge: what keeps a bridge that is made for guests, virbr0
// or qlbr0; else that an allowed one is down; else the first, whatever it is.
func (e *NoneFits) Nearest() error {
	for _, r := range e.Reasons {
		if slices.Contains(madeForGuests(), TargetOf(r).Bridge) || errors.Is(r, ErrBridgeDown) {
			return r
		}
	}
	return e.Reasons[0]
}

// Unwrap are the reasons.
func (e *NoneFits) Unwrap() []error { return e.Reasons }

// pick is the choice among bridges that are sorted by name. own says of one whether it is ours.
func pick(bridges []Bridge, allowed func(name string) (Verdict, error), own func(name string) bool) (Bridge, error) {
	if len(bridges) == 0 {
		none := Failure{What: "bridge " + Auto, Cause: ErrNoBridge, Detail: "no bridge on this host"}
		return Bridge{}, &BridgeError{none, Target{Bridge: Auto, Auto: true}}
	}
	none := &NoneFits{}
	for _, b := range Preferred(bridges) {
		v, err := allowed(b.Name)
		if err != nil {
			return Bridge{}, anyBridge(err) // the same for every bridge
		}
		if err = cmp.Or(v.Err(), upError(b, own(b.Name))); err == nil {
			return b, nil
		}
		none.Reasons = append(none.Reasons, anyBridge(err))
	}
	return Bridge{}, none
}

// anyBridge is an error of a bridge that nobody asked for by its name.
func anyBridge(err error) error {
	if t := targetOf(err); t != nil {
		t.Auto = true
	}
	return err
}

// madeForGuests are the bridges whose names say so: libvirt's, and our own.
func madeForGuests() []string { return []string{"virbr0", "qlbr0"} }

// Preferred are the bridges with those first that are made for guests, libvirt's before our own.
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

package netsetup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Check checks everything that [OpenTap] needs, in well under a millisecond and without running the helper, so that
// `up` fails with the cause before it creates anything. It returns the result of every check; [Report.Err] returns the
// first failure.
func Check(ctx context.Context, q CheckQuery) Report {
	return q.report(ctx, func(c check) bool { return c.start })
}

// Examine does what [Check] does, and also checks what else a guest's network needs: a DHCP server, forwarding, and a
// firewall that passes its packets. It runs programs of the host, each for a few seconds at most. Checks that need
// root are skipped for other users.
func Examine(ctx context.Context, q CheckQuery) Report {
	return q.report(ctx, func(check) bool { return true })
}

func (q CheckQuery) report(ctx context.Context, wanted func(check) bool) Report {
	q.Bridge, q.ACL, q.Root = cmp.Or(q.Bridge, Auto), cmp.Or(q.ACL, DefaultACL), cmp.Or(q.Root, "/")
	r := Report{}
	for _, c := range checks() {
		if !wanted(c) {
			continue
		}
		result := Result{Level: Fail, Err: ctx.Err()}
		if result.Err == nil {
			result = c.look(ctx, q, &r)
		}
		result.ID, result.OfBridge = c.id, c.ofBridge
		r.Results = append(r.Results, result)
	}
	return r
}

// A check examines one thing. It may add to the report what later checks use.
type check struct {
	id       string
	start    bool // a start depends on it, and it is fast
	ofBridge bool
	look     func(context.Context, CheckQuery, *Report) Result
}

// checks returns all checks, in the order in which a host is set up.
func checks() []check {
	const atStart, later, ofBridge, ofHost = true, false, true, false
	return []check{
		{"bridge", atStart, ofBridge, checkBridge},
		{"bridge-up", atStart, ofBridge, checkUp},
		{"bridge-address", atStart, ofBridge, checkAddress},
		{"bridge-ports", later, ofBridge, checkPorts},
		{"stp", later, ofBridge, checkSTP},
		{"acl", atStart, ofBridge, checkACL},
		{"helper", atStart, ofHost, checkHelper},
		{"helper-privilege", atStart, ofHost, checkPrivilege},
		{"group", later, ofHost, checkGroup},
		{"group-manager", later, ofHost, checkManager},
		{"tun", atStart, ofHost, checkTun},
		{"dhcp", later, ofBridge, checkDHCP},
		{"leases", later, ofBridge, checkLeases},
		{"listeners", later, ofBridge, checkListeners},
		{"input-policy", later, ofBridge, checkInputPolicy},
		{"forwarding", later, ofBridge, checkForwarding},
		{"forward-policy", later, ofBridge, checkForwardPolicy},
		{"bridge-netfilter", later, ofHost, checkNetfilter},
		{"bridge-forward", later, ofBridge, checkBridged},
		{"nat", later, ofBridge, checkNAT},
		{"routes", later, ofBridge, checkRoutes},
		{"mtu", later, ofBridge, checkMTU},
		{"mac", later, ofBridge, checkMACs},
		{"port", later, ofBridge, checkPort},
		{"networkmanager", later, ofBridge, checkNetworkManager},
	}
}

func checkBridge(_ context.Context, q CheckQuery, r *Report) Result {
	var err error
	if q.Bridge == Auto {
		r.Bridge, err = PickBridge(q.Root, q.ACL)
	} else {
		r.Bridge, err = FindBridge(q.Bridge)
	}
	if err != nil {
		r.Bridge = nearest(err)
	}
	r.own = own(q.Root, r.Bridge.Name)
	if err != nil {
		return fail(err)
	}
	return ok(r.Bridge.Name)
}

// nearest returns the bridge that an error is about, for the checks that follow: of several that do not qualify, the
// one that is the easiest to repair; the zero Bridge if there is none.
func nearest(err error) Bridge {
	if none, ok := errors.AsType[*NoneFits](err); ok {
		err = none.Nearest()
	}
	b, _ := FindBridge(TargetOf(err).Bridge)
	return b
}

func checkUp(_ context.Context, _ CheckQuery, r *Report) Result {
	if r.Bridge.Name == "" {
		return skipped("no bridge")
	}
	if err := upError(r.Bridge, r.own); err != nil {
		return fail(err)
	}
	return ok(r.Bridge.Name + " is up")
}

// checkAddress only warns: a bridge to a LAN needs no address of the host, a bridge with the host's own DHCP server
// does.
func checkAddress(_ context.Context, _ CheckQuery, r *Report) Result {
	if r.Bridge.Name == "" {
		return skipped("no bridge")
	}
	for _, p := range r.Bridge.Addrs {
		if p.Addr().Is4() {
			return ok(fmt.Sprintf("%s has %s", r.Bridge.Name, p))
		}
	}
	if uplinks := r.Bridge.Uplinks; len(uplinks) > 0 {
		return ok(fmt.Sprintf("%s has none, and %s leads to another network", r.Bridge.Name, strings.Join(uplinks, ", ")))
	}
	return warn(r.wrong(ErrNoAddress, "guests get none from this host"))
}

func checkACL(_ context.Context, q CheckQuery, r *Report) Result {
	name := r.Bridge.Name
	if name == "" {
		name = q.Bridge
	}
	if name == Auto {
		return skipped("no bridge")
	}
	v, err := Allowed(q.ACL, name)
	if err == nil {
		err = v.Err()
	}
	if err != nil {
		return fail(err)
	}
	evidence := fmt.Sprintf("%s:%d: %s", v.File, v.Line, v.Rule)
	if v.Rule == "allow all" {
		e := &ACLError{Failure: Failure{What: "acl", Cause: ErrAllAllowed, Detail: evidence}, File: v.File, Line: v.Line}
		return warn(e)
	}
	return ok(evidence)
}

func checkHelper(_ context.Context, q CheckQuery, r *Report) Result {
	path, err := FindHelper(q.Helper)
	if err != nil {
		return fail(err)
	}
	r.Helper = path
	return ok(path)
}

func checkPrivilege(_ context.Context, q CheckQuery, r *Report) Result {
	if r.Helper == "" {
		return skipped("no helper")
	}
	evidence, cause := helperUsable(r.Helper)
	if cause == nil {
		return ok(evidence)
	}
	e := &HelperError{Failure: Failure{What: "bridge helper " + r.Helper, Cause: cause, Detail: evidence},
		Target: Target{Bridge: r.Bridge.Name, Auto: q.Bridge == Auto}, Helper: r.Helper}
	if errors.Is(cause, ErrHelperForbidden) {
		e.Access = accessTo(r.Helper)
	}
	return fail(e)
}

// checkTun opens the device and closes it again, which creates no interface: TUNSETIFF does. The open may load the
// module, as it does for the helper.
func checkTun(context.Context, CheckQuery, *Report) Result {
	f, err := os.OpenFile(tunDevice, os.O_RDWR, 0)
	if err == nil {
		f.Close()
		return ok(tunDevice)
	}
	e := &TunError{Failure: Failure{What: tunDevice, Cause: ErrNoTun, Detail: errors.Unwrap(err).Error()}}
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.Cause = ErrTunPermission
		e.Access = accessTo(tunDevice)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
	default:
		return fail(err)
	}
	return fail(e)
}

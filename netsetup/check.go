package netsetup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// A CheckQuery says what a guest needs of the host.
type CheckQuery struct {
	Bridge string // a name, or [Auto]; empty is Auto
	Helper string // the configured helper; empty for the places of the distributions
	ACL    string // the helper's ACL; empty for [DefaultACL]
}

// A Level says how a check ended.
type Level int

// The levels, from good to bad. Skipped means that an earlier failure left nothing to look at.
const (
	OK Level = iota
	Skipped
	Warn
	Fail
)

func (l Level) String() string {
	return [...]string{"ok", "skipped", "warn", "fail"}[l]
}

// A Result is what one check found.
type Result struct {
	ID       string // stable, for scripts: "bridge", "bridge-up", "acl" …
	Level    Level
	Evidence string // what was seen: a path, a mode, a rule; for a person
	Err      error  // why it failed, or what to be warned of; nil when OK or Skipped
}

// A Report is the list of all checks in their order, with what they found on the way.
type Report struct {
	Bridge  Bridge // the bridge asked for or picked; zero when there is none
	Helper  string // the helper's path; empty when there is none
	Results []Result
}

// Err is the error of the first check that failed, nil when a guest can be given its tap.
func (r Report) Err() error {
	for _, result := range r.Results {
		if result.Level == Fail {
			return result.Err
		}
	}
	return nil
}

// Check looks at all that [OpenTap] needs, in well under a millisecond and without running the helper: an `up` fails
// here, with the cause, before anything exists. It returns every check's result; [Report.Err] is the first failure.
func Check(ctx context.Context, q CheckQuery) Report {
	if q.Bridge == "" {
		q.Bridge = Auto
	}
	if q.ACL == "" {
		q.ACL = DefaultACL
	}
	r := Report{}
	for _, c := range checks() {
		result := Result{Level: Fail, Err: ctx.Err()}
		if result.Err == nil {
			result = c.look(q, &r)
		}
		result.ID = c.id
		r.Results = append(r.Results, result)
	}
	return r
}

// A check looks at one thing. It may fill in what later checks build on.
type check struct {
	id   string
	look func(CheckQuery, *Report) Result
}

// checks is the one list, in the order in which a host is set up.
func checks() []check {
	return []check{
		{"bridge", checkBridge},
		{"bridge-up", checkUp},
		{"bridge-address", checkAddress},
		{"acl", checkACL},
		{"helper", checkHelper},
		{"helper-privilege", checkPrivilege},
		{"tun", checkTun},
	}
}

func ok(evidence string) Result { return Result{Level: OK, Evidence: evidence} }

func skipped(why string) Result { return Result{Level: Skipped, Evidence: why} }

// fail is a failure; its evidence is its text.
func fail(err error) Result { return Result{Level: Fail, Evidence: err.Error(), Err: err} }

func checkBridge(q CheckQuery, r *Report) Result {
	var err error
	if q.Bridge == Auto {
		r.Bridge, err = PickBridge(q.ACL)
	} else {
		r.Bridge, err = FindBridge(q.Bridge)
	}
	if err != nil {
		return fail(err)
	}
	return ok(r.Bridge.Name)
}

func checkUp(_ CheckQuery, r *Report) Result {
	if r.Bridge.Name == "" {
		return skipped("no bridge")
	}
	if err := upError(r.Bridge); err != nil {
		return fail(err)
	}
	return ok(r.Bridge.Name + " is up")
}

// upError is [ErrBridgeDown] for a bridge that is down.
func upError(b Bridge) error {
	if b.Up {
		return nil
	}
	return &Error{What: fmt.Sprintf("bridge %q", b.Name), Cause: ErrBridgeDown, Bridge: b.Name}
}

// checkAddress warns alone: a bridge onto a LAN needs no address of the host's, one with the host's own DHCP does.
func checkAddress(_ CheckQuery, r *Report) Result {
	if r.Bridge.Name == "" {
		return skipped("no bridge")
	}
	for _, p := range r.Bridge.Addrs {
		if p.Addr().Is4() {
			return ok(fmt.Sprintf("%s has %s", r.Bridge.Name, p))
		}
	}
	err := fmt.Errorf("bridge %q: no IPv4 address: unless its DHCP server is another host, guests get none", r.Bridge.Name)
	return Result{Level: Warn, Evidence: err.Error(), Err: err}
}

func checkACL(q CheckQuery, r *Report) Result {
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
		err := errors.New(evidence + ": opens every bridge of the host, a LAN's too")
		return Result{Level: Warn, Evidence: evidence, Err: err}
	}
	return ok(evidence)
}

func checkHelper(q CheckQuery, r *Report) Result {
	path, err := FindHelper(q.Helper)
	if err != nil {
		return fail(err)
	}
	r.Helper = path
	return ok(path)
}

func checkPrivilege(q CheckQuery, r *Report) Result {
	if r.Helper == "" {
		return skipped("no helper")
	}
	evidence, cause := helperUsable(r.Helper)
	if cause == nil {
		return ok(evidence)
	}
	e := &Error{What: "bridge helper " + r.Helper, Cause: cause, Bridge: r.Bridge.Name, Auto: q.Bridge == Auto, Helper: r.Helper, Detail: evidence}
	if errors.Is(cause, ErrHelperForbidden) {
		e.closedTo(r.Helper)
	}
	return fail(e)
}

// tunDevice is what taps are made of; the helper opens it as the user who calls it.
const tunDevice = "/dev/net/tun"

// checkTun opens the device and closes it again: an interface comes only with TUNSETIFF. The open may load the module, as the helper's would.
func checkTun(CheckQuery, *Report) Result {
	f, err := os.OpenFile(tunDevice, os.O_RDWR, 0)
	if err == nil {
		f.Close()
		return ok(tunDevice)
	}
	e := &Error{What: tunDevice, Cause: ErrNoTun, File: tunDevice, Detail: errors.Unwrap(err).Error()}
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.Cause = ErrTunPermission
		e.closedTo(tunDevice)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
	default:
		return fail(err)
	}
	return fail(e)
}

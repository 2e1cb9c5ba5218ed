package netsetup

import "net"

// A CheckQuery is what a guest needs of the host's network.
type CheckQuery struct {
	Bridge string // a name, or [Auto]; empty is Auto
	Helper string // the configured helper; empty for the places of the distributions
	ACL    string // the helper's ACL; empty for [DefaultACL]

	// Used only by [Examine].
	Root string              // the directory of the host's files and programs; empty for "/"
	MACs []net.HardwareAddr  // of a guest's NICs: no other machine may have them
	PID  int                 // of that guest's QEMU, whose taps may; 0 when it does not run
	Runs func(argv []string) // called with each command that is run; may be nil
}

// A Level is the outcome of a check.
type Level int

// The levels, from good to bad. Skipped means that there was nothing to examine, or no permission to.
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
	OfBridge bool   // the result may differ for another bridge; it is not about the host or this user
	Level    Level
	Evidence string // what was seen: a path, a mode, a rule; for a person
	Err      error  // the failure or the warning; nil when OK or Skipped
}

// A Report has the results of all checks in their order, and what the checks found.
type Report struct {
	Bridge  Bridge // the requested or picked bridge; if none qualifies, that of [NoneFits.Nearest]; else zero
	Helper  string // the helper's path; empty if there is none
	Server  Server // the DHCP server on the bridge; set only by [Examine]
	Results []Result

	own bool // the bridge is one that `net setup` makes
}

// Err returns the error of the first check that failed, or nil if a guest can get its tap.
func (r Report) Err() error {
	for _, result := range r.Results {
		if result.Level == Fail {
			return result.Err
		}
	}
	return nil
}

func ok(evidence string) Result { return Result{Level: OK, Evidence: evidence} }

func skipped(why string) Result { return Result{Level: Skipped, Evidence: why} }

// fail returns a failure, with its text as the evidence.
func fail(err error) Result { return Result{Level: Fail, Evidence: err.Error(), Err: err} }

// warn returns a warning about something that works and may be a mistake.
func warn(err error) Result { return Result{Level: Warn, Evidence: err.Error(), Err: err} }

// wrong returns an error of the report's bridge.
func (r *Report) wrong(cause error, detail string) error {
	return &BridgeError{r.failure(cause, detail), r.target()}
}

func (r *Report) failure(cause error, detail string) Failure {
	return BridgeFailure(r.Bridge.Name, cause, detail)
}

func (r *Report) target() Target { return Target{Bridge: r.Bridge.Name, Own: r.own} }

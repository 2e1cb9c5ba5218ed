package netsetup

import "net"

// A CheckQuery says what a guest needs of the host.
type CheckQuery struct {
	Bridge string // a name, or [Auto]; empty is Auto
	Helper string // the configured helper; empty for the places of the distributions
	ACL    string // the helper's ACL; empty for [DefaultACL]

	// For Examine alone.
	Root string              // where the host's files and programs are; empty for "/"
	MACs []net.HardwareAddr  // of a guest's NICs: nobody else may have them
	PID  int                 // of that guest's QEMU, whose taps may; 0 when it does not run
	Runs func(argv []string) // is told each program that is run; nil for nobody
}

// A Level says how a check ended.
type Level int

// The levels, from good to bad. Skipped means that there was nothing to look at, or no right to.
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
	OfBridge bool   // it is about the bridge, not about the host and this user: another bridge may have another result
	Level    Level
	Evidence string // what was seen: a path, a mode, a rule; for a person
	Err      error  // why it failed, or what to be warned of; nil when OK or Skipped
}

// A Report is the list of all checks in their order, with what they found on the way.
type Report struct {
	Bridge  Bridge // the bridge asked for or picked, of several that do not fit the nearest to it; zero when there is none
	Helper  string // the helper's path; empty when there is none
	Server  Server // the DHCP server on the bridge; Examine's alone
	Results []Result

	own bool // the bridge is one that `net setup` makes
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

func ok(evidence string) Result { return Result{Level: OK, Evidence: evidence} }

func skipped(why string) Result { return Result{Level: Skipped, Evidence: why} }

// fail is a failure; its evidence is its text.
func fail(err error) Result { return Result{Level: Fail, Evidence: err.Error(), Err: err} }

// warn is something that works, and may not be meant.
func warn(err error) Result { return Result{Level: Warn, Evidence: err.Error(), Err: err} }

// wrong is an error of the report's bridge.
func (r *Report) wrong(cause error, detail string) error {
	return &BridgeError{r.failure(cause, detail), r.target()}
}

func (r *Report) failure(cause error, detail string) Failure {
	return BridgeFailure(r.Bridge.Name, cause, detail)
}

func (r *Report) target() Target { return Target{Bridge: r.Bridge.Name, Own: r.own} }

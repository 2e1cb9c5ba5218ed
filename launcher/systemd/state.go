package systemd

import (
	"context"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// State is what the manager says of a unit.
type State struct {
	Load     string   // "loaded", "not-found", "masked" …
	Active   string   // "active", "inactive", "failed", "activating", "deactivating"
	Sub      string   // "running", "dead", "auto-restart" …
	Result   string   // how it ended: "success", "signal", "exit-code", "start-limit-hit" …
	Status   string   // what it said of itself last
	MainPID  int      // 0 when there is none
	Code     int      // how the main process ended: waitid(2), si_code
	Exit     int      // its exit status, or the signal's number
	Fragment string   // the unit file
	DropIns  []string // the drop-ins' files
	Enabled  bool
	Stale    bool // the files have changed since they were read
}

// State asks what a unit does.
func (m Manager) State(ctx context.Context, unit string) (State, error) {
	out, err := m.call(ctx, askDeadline, "show", unit)
	return parseState(out), err
}

// parseState reads the lines of systemctl show: KEY=VALUE.
func parseState(text string) State {
	var s State
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		number, _ := strconv.Atoi(value)
		switch key {
		case "LoadState":
			s.Load = value
		case "ActiveState":
			s.Active = value
		case "SubState":
			s.Sub = value
		case "Result":
			s.Result = value
		case "StatusText":
			s.Status = value
		case "MainPID":
			s.MainPID = number
		case "ExecMainCode":
			s.Code = number
		case "ExecMainStatus":
			s.Exit = number
		case "FragmentPath":
			s.Fragment = value
		case "DropInPaths":
			s.DropIns = strings.Fields(value)
		case "UnitFileState":
			s.Enabled = value == "enabled"
		case "NeedDaemonReload":
			s.Stale = value == "yes"
		}
	}
	return s
}

// Loaded tells whether there is a template, and nobody has masked it.
func (s State) Loaded() bool { return s.Load == "loaded" }

// Idle tells that the unit neither runs nor is about to.
func (s State) Idle() bool { return s.Active == "inactive" || s.Active == "failed" }

// StartLimitHit tells that the manager refuses to start a unit that was started too often.
func (s State) StartLimitHit() bool { return s.Result == "start-limit-hit" }

// NoProgram tells that what the template says to execute could not be.
func (s State) NoProgram() bool { return s.Code == cldExited && s.Exit == execFailed }

// The ways in which a process ends, as si_code says (linux, asm-generic/siginfo.h).
const (
	cldExited = 1
	cldKilled = 2
	cldDumped = 3
)

// execFailed is what systemd's child exits with when the program cannot be executed (systemd.exec(5), "EXIT_EXEC").
const execFailed = 203

// NotStarted begins the status of a unit whose start failed and could say why.
const NotStarted = "not started: "

// Failure says in plain words how a unit failed; nothing when it has not.
func (s State) Failure() string {
	if s.Active != "failed" && s.Sub != "auto-restart" {
		return ""
	}
	said, notStarted := strings.CutPrefix(s.Status, NotStarted)
	switch {
	case notStarted:
		return said
	case s.StartLimitHit():
		return "it was started too often in a short time"
	case s.Result == "oom-kill":
		return "the kernel ended QEMU for lack of memory"
	case s.Result == "timeout":
		return "it took too long and was ended"
	case s.Code == cldKilled || s.Code == cldDumped:
		return "ended by " + signalName(s.Exit)
	case s.NoProgram():
		return "its program cannot be executed"
	case s.Code == cldExited && s.Result == "exit-code":
		return "ended with exit status " + strconv.Itoa(s.Exit)
	}
	return s.Result
}

func signalName(number int) string {
	if name := unix.SignalName(unix.Signal(number)); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(number)
}

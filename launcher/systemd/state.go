package systemd

import (
	"context"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// State is the state of a unit, as the manager reports it.
type State struct {
	Load     string   // "loaded", "not-found", "masked" …
	Active   string   // "active", "inactive", "failed", "activating", "deactivating"
	Sub      string   // "running", "dead", "auto-restart" …
	Result   string   // how it ended: "success", "signal", "exit-code", "start-limit-hit" …
	Status   string   // the last status that the unit reported
	MainPID  int      // 0 if there is none
	Code     int      // how the main process ended: waitid(2), si_code
	Exit     int      // its exit status, or the signal's number
	Fragment string   // the unit file
	DropIns  []string // the drop-ins' files
	Enabled  bool
	Stale    bool // the files have changed since the manager read them
}

// State returns the state of a unit.
func (m Manager) State(ctx context.Context, unit string) (State, error) {
	out, err := m.call(ctx, askDeadline, "show", unit)
	return parseState(out), err
}

// parseState parses the lines of systemctl show: KEY=VALUE.
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

// Loaded reports whether the template exists and is not masked.
func (s State) Loaded() bool { return s.Load == "loaded" }

// Idle reports whether the unit neither runs nor is about to run.
func (s State) Idle() bool { return s.Active == "inactive" || s.Active == "failed" }

// StartLimitHit reports whether the manager refuses to start a unit because it was started too often.
func (s State) StartLimitHit() bool { return s.Result == "start-limit-hit" }

// NoProgram reports whether the program in the template could not be executed.
func (s State) NoProgram() bool { return s.Code == cldExited && s.Exit == execFailed }

// How a process can end: the values of si_code (linux, asm-generic/siginfo.h).
const (
	cldExited = 1
	cldKilled = 2
	cldDumped = 3
)

// execFailed is the exit status of systemd's child if the program cannot be executed (systemd.exec(5), "EXIT_EXEC").
const execFailed = 203

// NotStarted is the prefix of the status of a unit whose start failed with an error of qlaunch.
const NotStarted = "not started: "

// Failure describes how a unit failed; empty if it has not.
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

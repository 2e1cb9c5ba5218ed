package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/qlaunch/qlaunch/netsetup"
)

// A Guest is a tap on the bridge, with the process that has it open.
type Guest struct {
	Tap  string
	PID  int    // 0 if the process was not found
	Name string // of the VM, from QEMU's -name; empty for another program
	User string
}

// An InUseError means that guests use the bridge that would be removed.
type InUseError struct {
	Bridge string
	Guests []Guest
}

func (e *InUseError) Error() string {
	who := make([]string, len(e.Guests))
	for i, g := range e.Guests {
		switch {
		case g.PID == 0:
			who[i] = g.Tap
		case g.Name == "":
			who[i] = fmt.Sprintf("%s (pid %d of %s)", g.Tap, g.PID, g.User)
		default:
			who[i] = fmt.Sprintf("%s (pid %d of %s)", g.Name, g.PID, g.User)
		}
	}
	return fmt.Sprintf("bridge %q: in use by %s", e.Bridge, strings.Join(who, ", "))
}

// Teardown restores what setups changed, byte for byte, where it is still as they left it. It first calls tell with the
// steps and with what it leaves unchanged. While guests use a bridge that would be removed, it returns an
// [*InUseError], unless force is set. It returns [ErrNotRoot] and [ErrBusy] as [Setup] does.
func Teardown(ctx context.Context, force bool, tell func(steps []Step, left []Left)) error {
	release, err := lock()
	if err != nil {
		return err
	}
	defer release()
	j, err := readJournal()
	if err != nil {
		return err
	}
	if guests := guestsOn(j.Spec); len(guests) > 0 && !force {
		return &InUseError{j.Spec.Bridge, guests}
	}
	steps, left, err := j.plan(ctx)
	if err != nil {
		return err
	}
	tell(steps, left)
	return j.takeBack(ctx, steps)
}

// PlanTeardown returns what [Teardown] would do now, and what it would leave unchanged. It changes nothing, but returns
// [ErrNotRoot] if the caller is not root, since only root can read the journal.
func PlanTeardown(ctx context.Context) ([]Step, []Left, error) {
	if os.Geteuid() != 0 {
		return nil, nil, ErrNotRoot
	}
	j, err := readJournal()
	if err != nil {
		return nil, nil, err
	}
	return j.plan(ctx)
}

// plan returns the steps that undo what the journal records, given the present state of the host.
func (j journal) plan(ctx context.Context) ([]Step, []Left, error) {
	facts, err := survey(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	var items []Item
	for _, e := range j.Steps {
		items = append(items, e.Item)
	}
	if err := lookAll(ctx, &facts, items); err != nil {
		return nil, nil, err
	}
	steps, left := Undo(j.steps(), facts)
	return steps, left, nil
}

// takeBack takes all steps, even if one fails, and keeps the journal's entries of those that failed.
func (j journal) takeBack(ctx context.Context, steps []Step) error {
	var failed []error
	for _, s := range steps {
		err := context.Cause(ctx)
		if err == nil {
			err = set(ctx, s)
		}
		if err != nil {
			failed = append(failed, &FailedError{Step: s, Doing: s.Reverse().Undo(), Err: err})
		}
	}
	left := journal{Spec: j.Spec}
	for _, e := range j.Steps {
		if slices.ContainsFunc(failed, func(err error) bool { return isStep(err, e.Item) }) {
			left.Steps = append(left.Steps, e)
		}
	}
	return errors.Join(append(failed, left.save())...)
}

func isStep(err error, item Item) bool {
	f, ok := errors.AsType[*FailedError](err)
	return ok && f.Step.Item == item
}

// guestsOn returns the guests on the bridge if the bridge is ours and would be removed.
func guestsOn(spec Spec) []Guest {
	if !spec.Own {
		return nil
	}
	b, err := netsetup.FindBridge(spec.Bridge)
	if err != nil {
		return nil // it is gone already
	}
	holders := tapHolders()
	guests := make([]Guest, len(b.Ports))
	for i, tap := range b.Ports {
		guests[i] = holders[tap]
		guests[i].Tap = tap
	}
	return guests
}

// tapHolders returns the processes that have taps open, by the name of the tap.
func tapHolders() map[string]Guest {
	holders := map[string]Guest{}
	processes, _ := filepath.Glob("/proc/[0-9]*") // the pattern is a constant
	for _, dir := range processes {
		pid, _ := strconv.Atoi(filepath.Base(dir)) // digits, by the pattern
		for _, tap := range netsetup.Taps(pid) {
			holders[tap] = holder(dir, pid)
		}
	}
	return holders
}

// holder describes a process from its directory in /proc.
func holder(dir string, pid int) Guest {
	g := Guest{PID: pid}
	if state, err := lookMode(dir); err == nil {
		_, owners, _ := strings.Cut(state, " ")
		g.User, _, _ = strings.Cut(owners, ":")
	}
	data, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
	words := strings.Split(string(data), "\x00")
	for i, word := range words {
		if word == "-name" && i+1 < len(words) {
			name, _, _ := strings.Cut(words[i+1], ",")
			g.Name = strings.TrimPrefix(name, "guest=")
		}
	}
	return g
}

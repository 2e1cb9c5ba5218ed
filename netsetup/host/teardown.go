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

// A Guest is a process that has a tap on the bridge.
type Guest struct {
	Tap  string
	PID  int    // 0 when it was not found
	Name string // of the VM, as QEMU's -name has it; empty for what is no QEMU
	User string
}

// An InUseError says that guests are on the bridge that is to go.
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

// Teardown puts back what setups changed, byte for byte, where it is still as they left it, and tells each step before
// it is taken, and what is left alone. While guests are on a bridge that would go it refuses, with an [*InUseError],
// unless forced. It needs root, and runs alone, as [Setup] does.
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

// PlanTeardown is what [Teardown] would do now, and what it would leave alone. It changes nothing, and needs root all
// the same, as what setups noted is root's: [ErrNotRoot].
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

// plan is how to take back what is noted, as the host is now.
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

// takeBack takes all the steps, whether or not one fails, and keeps of the journal what is still to be done.
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

// guestsOn are the guests on the bridge, if it is ours and would go.
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

// tapHolders are the processes that hold taps, by the tap.
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

// holder is what a process's directory in /proc tells of it.
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

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/qlaunch/qlaunch/netsetup"
)

// A FailedError says which step failed, and how the host is now.
type FailedError struct {
	Step   netsetup.Step
	Doing  string // what the step was to do
	Err    error
	Undone int             // how many steps of this run were taken back
	Stuck  []netsetup.Item // those that could not be
}

func (e *FailedError) Error() string {
	text := fmt.Sprintf("%s: %v", e.Doing, e.Err)
	switch {
	case len(e.Stuck) > 0:
		names := make([]string, len(e.Stuck))
		for i, item := range e.Stuck {
			names[i] = item.String()
		}
		return text + "; could not be taken back: " + strings.Join(names, ", ")
	case e.Undone > 0:
		return fmt.Sprintf("%s; the %d steps before it are taken back", text, e.Undone)
	}
	return text
}

// Unwrap is why the step failed.
func (e *FailedError) Unwrap() error { return e.Err }

// Setup does to the host what is missing of what was asked for, and tells the plan before it begins. One that fails, or
// whose ctx ends, takes back what it did: a [*FailedError]. It needs root: [ErrNotRoot]; and runs alone: [ErrBusy].
func Setup(ctx context.Context, ask netsetup.Request, tell func(netsetup.Want, []netsetup.Step)) error {
	release, err := lock()
	if err != nil {
		return err
	}
	defer release()
	want, have, err := Prepare(ctx, ask)
	if err != nil {
		return err
	}
	steps := netsetup.Plan(want, have)
	tell(want, steps)
	j, err := readJournal()
	if err != nil || len(steps) == 0 {
		return err
	}
	if want.Own || !j.Want.Own {
		j.Want = want
	}
	return (&attempt{journal: j}).do(ctx, steps)
}

// attempt is one run of setup.
type attempt struct {
	journal journal
	done    []netsetup.Step
	fresh   []netsetup.Item // what no earlier run had changed
}

func (r *attempt) do(ctx context.Context, steps []netsetup.Step) error {
	for _, s := range steps {
		err := ctx.Err()
		if err == nil {
			err = r.step(ctx, s)
		}
		if err != nil {
			failed := &FailedError{Step: s, Doing: s.Do(), Err: err}
			r.undo(context.WithoutCancel(ctx), failed)
			return failed
		}
	}
	return nil
}

func (r *attempt) step(ctx context.Context, s netsetup.Step) error {
	fresh, err := r.journal.note(s)
	if err != nil {
		return err
	}
	r.done = append(r.done, s)
	if fresh {
		r.fresh = append(r.fresh, s.Item)
	}
	return set(ctx, s)
}

// undo takes back what this run did, the failed step included: it may have been done by half.
func (r *attempt) undo(ctx context.Context, failed *FailedError) {
	for _, s := range slices.Backward(r.done) {
		if err := set(ctx, s.Reverse()); err != nil {
			failed.Stuck = append(failed.Stuck, s.Item)
			continue
		}
		if s.Item != failed.Step.Item {
			failed.Undone++
		}
		if slices.Contains(r.fresh, s.Item) {
			r.journal.forget(s.Item)
		} else if i := r.journal.index(s.Item); i >= 0 {
			r.journal.Steps[i].To = text(s.From)
		}
	}
	if err := r.close(); err != nil {
		failed.Err = errors.Join(failed.Err, err)
	}
}

// close writes the journal, or removes it where nothing is left to tell.
func (r *attempt) close() error {
	if len(r.journal.Steps) == 0 {
		return removeJournal()
	}
	return r.journal.write()
}

// Apply puts back what a boot or a restarted firewall took: the runtime part of what is wanted. It keeps no journal, and
// takes no lock: setup has it run by the unit that it starts. It needs root: [ErrNotRoot].
func Apply(ctx context.Context, want netsetup.Want) error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	have, err := survey(ctx, nil)
	if err != nil {
		return err
	}
	if err := LookAll(ctx, &have, netsetup.RuntimeItems(want, have)); err != nil {
		return err
	}
	for _, s := range netsetup.Runtime(netsetup.Plan(want, have)) {
		if err := set(ctx, s); err != nil {
			return &FailedError{Step: s, Doing: s.Do(), Err: err}
		}
	}
	return nil
}

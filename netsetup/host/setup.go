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

// A FailedError is the failure of a step, with the state in which it left the host.
type FailedError struct {
	Step   Step
	Doing  string // what the step was to do
	Err    error
	Undone int    // how many steps of this run were undone
	Stuck  []Item // the items whose steps could not be undone
}

func (e *FailedError) Error() string {
	cause := e.Err.Error()
	if c, ok := errors.AsType[*commandError](e.Err); ok && strings.Contains(e.Doing, strings.Join(c.argv, " ")) {
		cause = c.cause() // the message already names the command
	}
	text := e.Doing + ": " + cause
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

// Unwrap returns why the step failed.
func (e *FailedError) Unwrap() error { return e.Err }

// Setup makes the changes to the host that the request still needs. It calls tell with the plan before it begins. If a
// step fails or ctx ends, it undoes its changes and returns a [*FailedError]. It returns [ErrNotRoot] if the caller is
// not root, and [ErrBusy] while another setup or teardown runs.
func Setup(ctx context.Context, ask Request, tell func(Spec, []Step)) error {
	release, err := lock()
	if err != nil {
		return err
	}
	defer release()
	spec, facts, err := Prepare(ctx, ask)
	if err != nil {
		return err
	}
	steps := Plan(spec, facts)
	tell(spec, steps)
	j, err := readJournal()
	if err == nil {
		err = j.closeToOthers()
	}
	if err != nil || len(steps) == 0 {
		return err
	}
	r := attempt{before: j, journal: j, spec: spec}
	if j.Spec.Own && !spec.Own {
		r.spec = j.Spec // the next setup continues with our own bridge
	}
	return r.do(ctx, steps)
}

// Prepare examines the host, resolves the request and reads the states of all items concerned: Plan(spec, facts) then
// gives the steps. It changes nothing. Any user may call it; items that only root can read are then unseen.
func Prepare(ctx context.Context, ask Request) (spec Spec, facts Facts, err error) {
	facts, err = survey(ctx, ask.Users)
	if err != nil {
		return spec, facts, err
	}
	spec, err = Resolve(ask, facts)
	if err != nil {
		return spec, facts, err
	}
	items := plannedItems(spec, facts)
	if err := checkTrusted(items, facts); err != nil {
		return spec, facts, err
	}
	return spec, facts, lookAll(ctx, &facts, items)
}

// checkTrusted refuses a host on which a user other than root could change the files that root writes or runs.
func checkTrusted(items []Item, facts Facts) error {
	paths := []string{lockPath, journalPath}
	for _, item := range items {
		if kinds()[item.Kind].isPath {
			paths = append(paths, item.Name)
		}
	}
	for _, program := range []string{facts.Helper, facts.Dnsmasq, facts.Nft, facts.IPTables} {
		if program != "" {
			paths = append(paths, program)
		}
	}
	for _, path := range paths {
		if err := netsetup.Trusted(path); err != nil {
			return err
		}
	}
	return nil
}

// attempt is one run of setup. Its Spec is recorded with the first step, so that the next run completes a run that was
// killed. If it fails, the Spec of the previous run is valid again.
type attempt struct {
	before, journal journal
	spec            Spec
	done            []Step
}

func (r *attempt) do(ctx context.Context, steps []Step) error {
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

func (r *attempt) step(ctx context.Context, s Step) error {
	if err := r.journal.note(r.spec, s); err != nil {
		return err
	}
	r.done = append(r.done, s)
	return set(ctx, s)
}

// undo undoes the steps of this run, including the failed one, which may be partly done.
func (r *attempt) undo(ctx context.Context, failed *FailedError) {
	for _, s := range slices.Backward(r.done) {
		if err := set(ctx, s.Reverse()); err != nil {
			failed.Stuck = append(failed.Stuck, s.Item)
			continue
		}
		if s.Item != failed.Step.Item {
			failed.Undone++
		}
	}
	if err := r.before.with(r.journal, failed.Stuck).save(); err != nil {
		failed.Err = errors.Join(failed.Err, err)
	}
}

// Apply restores the runtime part of a Spec, which a boot or a restarted firewall has removed. It writes no journal and
// takes no lock, since setup starts the unit that runs it. It returns [ErrNotRoot] if the caller is not root.
func Apply(ctx context.Context, spec Spec) error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	facts, err := survey(ctx, nil)
	if err != nil {
		return err
	}
	if err := lookAll(ctx, &facts, runtimeItems(spec, facts)); err != nil {
		return err
	}
	for _, s := range runtimeSteps(Plan(spec, facts)) {
		if err := set(ctx, s); err != nil {
			return &FailedError{Step: s, Doing: s.Do(), Err: err}
		}
	}
	return nil
}

// Mutate tries the tests: it changes the source in one place after the other (a
// condition, a bound, a number, a statement that is left out, a function that is left
// at once) and runs the package's own tests on each. A change that no test notices
// survives, and says where a test is missing.
//
// All changes of a package are built into one program of its tests, each behind a
// number in the environment, so that hundreds are tried in a minute. No file of the
// source is touched: the compiler gets an overlay.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
)

// enough is the part of the mutants that the tests must notice, in percent.
const enough = 90

func main() {
	only := flag.String("only", "", "the `name` of one target")
	known := flag.String("known", "docs/mutants.md", "the `file` with a table of the survivors that have a reason")
	sideBySide := flag.Int("j", runtime.NumCPU(), "how many run side by side")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only, *known, *sideBySide); err != nil {
		fmt.Fprintln(os.Stderr, "mutate: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only, known string, sideBySide int) error {
	reasons, err := readKnown(known)
	if err != nil {
		return err
	}
	few := false
	for _, t := range targets() {
		if only != "" && only != t.name {
			continue
		}
		noticed, err := t.try(ctx, reasons, sideBySide)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		few = few || noticed < enough
	}
	for _, r := range reasons {
		if !r.seen && only == "" {
			fmt.Printf("%s has a mutant that does not survive: %s\n", known, r.row)
		}
	}
	if few {
		return fmt.Errorf("the tests notice less than %d %% of the mutants", enough)
	}
	return nil
}

// try prints what survives of a target, and gives the percentage that the tests notice.
func (t target) try(ctx context.Context, reasons []*reason, sideBySide int) (float64, error) {
	s, err := load(ctx, ".", t.path)
	if err != nil {
		return 0, err
	}
	all, survivors, err := t.judge(ctx, s, sideBySide)
	if err != nil {
		return 0, err
	}
	unexplained := 0
	for _, m := range survivors {
		if !explained(reasons, t.name, m) {
			fmt.Printf("%s:%d: %s: `%s` %s\n", filepath.Join(s.Dir, m.file), m.line, m.function, m.source, m.change)
			unexplained++
		}
	}
	noticed := 100 * float64(all-len(survivors)) / float64(max(1, all))
	fmt.Printf("%s: %d mutants, %d survive, %d of them without a reason: %.1f %% are noticed\n", t.name, all, len(survivors), unexplained, noticed)
	return noticed, nil
}

// judge runs the target's tests on each mutant, and gives their number and those that survive.
func (t target) judge(ctx context.Context, s *source, sideBySide int) (all int, survivors []mutant, err error) {
	mutants, changed, err := s.mutants(t.files)
	if err != nil {
		return 0, nil, err
	}
	dir, err := os.MkdirTemp("", "qlaunch-mutate")
	if err != nil {
		return 0, nil, err
	}
	defer os.RemoveAll(dir)
	j := judge{dir: s.Dir, skip: t.skip}
	if j.program, err = s.compile(ctx, changed, dir); err != nil {
		return 0, nil, err
	}
	if j.tests, err = t.pattern(s.Dir); err != nil {
		return 0, nil, err
	}
	if err := j.settle(ctx); err != nil {
		return 0, nil, err
	}
	survivors = j.survivors(ctx, mutants, sideBySide)
	return len(mutants), survivors, ctx.Err()
}

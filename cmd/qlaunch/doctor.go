package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/qlaunch/qlaunch/launcher"
)

type doctorCmd struct {
	Name   string `arg:"" optional:"" vm:"" help:"A VM. Default: checks for a VM with default settings."`
	Output string `short:"o" enum:"table,json" default:"table" help:"Output format: ${enum}."`
}

func (doctorCmd) Help() string {
	return "Each check that up makes, and those that it has no time for. Each failure or warning is followed by its fix. " +
		"Exit code 0: all that the VM needs is there. 5: it is not. The firewall is checked only when run as root."
}

func (doctorCmd) Example() string { return "qlaunch doctor guestvm" }

// finding is the result of one check. Its JSON format is stable.
type finding struct {
	ID       string `json:"id"`
	Level    string `json:"level"` // ok, skipped, warn or fail
	Evidence string `json:"evidence"`
	Cure     string `json:"cure"` // a command or a fact, for warn and fail; may be empty
}

func (c *doctorCmd) Run(ctx context.Context, s *session) error {
	checked, err := launcher.Doctor(ctx, s.env, c.Name)
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	findings := make([]finding, len(checked))
	for i, f := range checked {
		findings[i] = finding{f.ID, f.Level.String(), f.Evidence, hintFor(f.Err)}
	}
	if c.Output == "json" {
		err = printJSON(s.stdout, findings)
	} else {
		err = printFindings(s, findings)
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(checked, func(f launcher.Finding) bool { return f.Level == launcher.Fail }) {
		return exitError(exitHost)
	}
	return nil
}

func printFindings(s *session, findings []finding) error {
	w, level := s.stdout, func(word string) string { return word }
	if s.wantsColours() {
		w, level = s.ownStdout, coloured // the session's output takes colours for what a guest could have written
	}
	t := newTable(w)
	oneLine := func(text string) string { return strings.NewReplacer("\n", "; ", "\t", " ").Replace(clean(text)) }
	fmt.Fprintf(t, "%s\tCHECK\tEVIDENCE\n", level("LEVEL"))
	for _, f := range findings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", level(f.Level), clean(f.ID), oneLine(f.Evidence))
		if f.Cure != "" {
			fmt.Fprintf(t, "%s\t\tcure: %s\n", level(""), oneLine(f.Cure))
		}
	}
	return t.Flush()
}

// wantsColours reports whether the output is a terminal, and the user has not disabled colours
// (https://no-color.org).
func (s *session) wantsColours() bool {
	return s.outTerminal && !slices.ContainsFunc(s.env.Environ, func(variable string) bool {
		return variable == "TERM=dumb" || strings.HasPrefix(variable, "NO_COLOR=") && variable != "NO_COLOR="
	})
}

// coloured returns a level in its colour. All levels have the same number of invisible bytes, so that the columns of
// a table stay aligned.
func coloured(word string) string {
	colour := map[string]string{"ok": "32", "skipped": "90", "warn": "33", "fail": "31"}[word]
	return "\x1b[" + cmp.Or(colour, "00") + "m" + word + "\x1b[0m"
}

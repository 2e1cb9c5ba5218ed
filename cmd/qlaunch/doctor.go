package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/vms"
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

// finding is the result of one check. Its JSON is a contract.
type finding struct {
	ID       string `json:"id"`
	Level    string `json:"level"` // ok, skipped, warn or fail
	Evidence string `json:"evidence"`
	Cure     string `json:"cure"` // a command or a fact, for warn and fail; may be empty
}

func (c *doctorCmd) Run(ctx context.Context, s *session) error {
	vm, err := s.patient(c.Name)
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	findings := s.examine(ctx, vm, c.Name != "")
	if c.Output == "json" {
		err = printJSON(s.stdout, findings)
	} else {
		err = s.printFindings(findings)
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(findings, func(f finding) bool { return f.Level == netsetup.Fail.String() }) {
		return exitError(exitHost)
	}
	return nil
}

// patient is the VM whose needs are looked at: one that is defined, or one of an empty definition.
func (s *session) patient(ref string) (vms.VM, error) {
	if ref != "" {
		return s.load(ref)
	}
	const name = "default"
	return vms.Parse(nil, s.store.Env(name, s.store.Path(name)))
}

// examine makes every check: those of ready, and those that it has no time for.
func (s *session) examine(ctx context.Context, vm vms.VM, defined bool) []finding {
	var findings []finding
	if defined {
		findings = append(findings, findingOf("clash", "no other definition has its name or its MACs", s.store.Clash(vm), nil, false))
	}
	for _, f := range launcher.Examine(ctx, vm, s.root, s.showCommand) {
		if !defined { // there is no VM whose directory this would be
			f.Evidence = strings.ReplaceAll(f.Evidence, vm.DataDir, filepath.Dir(vm.DataDir))
		}
		findings = append(findings, findingOf(f.ID, f.Evidence, f.Err, f.Warning, f.Skipped))
	}
	pid := 0
	if at, err := launcher.Locate(vm, s.qemus); err != nil {
		findings = append(findings, findingOf("rundir", "", err, nil, false))
	} else if process, err := launcher.Find(at); err == nil {
		pid = process.PID
		process.Close()
		findings = append(findings, consoleFinding(vm))
	}
	var seen []string
	for _, nic := range bridged(vm) {
		if slices.Contains(seen, nic.Bridge) {
			continue
		}
		query := netsetup.CheckQuery{Bridge: nic.Bridge, Helper: vm.QEMU.Helper, Root: s.root, Runs: s.showCommand}
		if defined {
			query.MACs, query.PID = macsOn(vm, nic.Bridge), pid
		}
		findings = append(findings, networkFindings(netsetup.Examine(ctx, query), nic.Bridge, len(seen) == 0)...)
		seen = append(seen, nic.Bridge)
	}
	return findings
}

// consoleFinding warns of a guest that is stuck. One that never uses its serial console may be well.
func consoleFinding(vm vms.VM) finding {
	stuck := launcher.ConsoleEnd(vm)
	if errors.Is(stuck, launcher.ErrNoOutput) {
		return findingOf("console", stuck.Error(), nil, nil, true)
	}
	return findingOf("console", "its last lines show no guest that is stuck", nil, stuck, false)
}

func macsOn(vm vms.VM, bridge string) []net.HardwareAddr {
	var macs []net.HardwareAddr
	for _, nic := range bridged(vm) {
		if nic.Bridge == bridge {
			macs = append(macs, nic.MAC.HardwareAddr())
		}
	}
	return macs
}

// networkFindings are those of a bridge's report. Of a second bridge, only what is about that bridge, with its name.
func networkFindings(report netsetup.Report, bridge string, first bool) []finding {
	var findings []finding
	for _, r := range report.Results {
		id := r.ID
		if !first {
			if !r.OfBridge {
				continue
			}
			id += ":" + bridge
		}
		f := finding{ID: id, Level: r.Level.String(), Evidence: r.Evidence}
		if r.Err != nil {
			f.Evidence = r.Err.Error()
			_, f.Cure = verdict(r.Err)
		}
		findings = append(findings, f)
	}
	return findings
}

func findingOf(id, evidence string, failed, warned error, skipped bool) finding {
	f := finding{ID: id, Level: netsetup.OK.String(), Evidence: evidence}
	switch {
	case failed != nil:
		f.Level, f.Evidence = netsetup.Fail.String(), failed.Error()
		_, f.Cure = verdict(failed)
	case warned != nil:
		f.Level, f.Evidence = netsetup.Warn.String(), warned.Error()
		_, f.Cure = verdict(warned)
	case skipped:
		f.Level = netsetup.Skipped.String()
	}
	return f
}

func (s *session) printFindings(findings []finding) error {
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

// wantsColours says whether there is a terminal, and nobody has asked to leave the colours out (https://no-color.org).
func (s *session) wantsColours() bool {
	return s.outTerminal && !slices.ContainsFunc(s.environ, func(variable string) bool {
		return variable == "TERM=dumb" || strings.HasPrefix(variable, "NO_COLOR=") && variable != "NO_COLOR="
	})
}

// coloured is a level's word in its colour. Every word gets as many bytes that do not show, so that a table's columns
// stay straight.
func coloured(word string) string {
	colour := map[string]string{"ok": "32", "skipped": "90", "warn": "33", "fail": "31"}[word]
	return "\x1b[" + cmp.Or(colour, "00") + "m" + word + "\x1b[0m"
}

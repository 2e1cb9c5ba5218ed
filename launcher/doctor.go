package launcher

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/vms"
)

// Finding is the result of one check.
type Finding struct {
	ID       string // stable, for scripts: "qemu", "kvm", "bridge" …
	Level    Level
	Evidence string // what was found, for a person; the text of Err if there is one
	Err      error  // the error or warning; nil for OK and Skipped
}

// Level is the severity of a finding.
type Level = netsetup.Level

// The levels, from good to bad.
const (
	OK      = netsetup.OK
	Skipped = netsetup.Skipped // there was nothing to check, or no permission to check it
	Warn    = netsetup.Warn    // a VM runs without it, but not as well
	Fail    = netsetup.Fail    // the VM cannot be started
)

// Doctor makes every check that a start makes, and those for which a start has no time. name is a VM, or "" for a VM
// with an empty definition.
func Doctor(ctx context.Context, e *Env, name string) ([]Finding, error) {
	if name != "" {
		vm, err := Load(e, name)
		if err != nil {
			return nil, err
		}
		clash := findingOf("clash", "no other definition has its name or its MACs", e.Store.Clash(vm), nil, false)
		return append([]Finding{clash}, examine(ctx, e, vm, true)...), nil
	}
	const anyVM = "default"
	vm, err := vms.Parse(nil, e.Store.Env(anyVM, e.Store.Path(anyVM)))
	if err != nil {
		return nil, err
	}
	return examine(ctx, e, vm, false), nil
}

func examine(ctx context.Context, e *Env, vm vms.VM, defined bool) []Finding {
	var findings []Finding
	for _, f := range qemu.Examine(ctx, vm, e.Root, e.command) {
		if !defined { // there is no VM to which this directory belongs
			f.Evidence = strings.ReplaceAll(f.Evidence, vm.DataDir, filepath.Dir(vm.DataDir))
		}
		findings = append(findings, findingOf(f.ID, f.Evidence, f.Err, f.Warning, f.Skipped))
	}
	pid := 0
	if at, err := qemu.Locate(vm, e.QEMUs); err != nil {
		findings = append(findings, findingOf("rundir", "", err, nil, false))
	} else if process, err := qemu.Find(at); err == nil {
		pid = process.PID
		process.Close()
		findings = append(findings, examineConsole(vm))
	}
	var seen []string
	for _, nic := range bridged(vm) {
		if slices.Contains(seen, nic.Bridge) {
			continue
		}
		query := netsetup.CheckQuery{Bridge: nic.Bridge, Helper: vm.QEMU.Helper, Root: e.Root, Runs: e.command}
		if defined {
			query.MACs, query.PID = macsOn(vm, nic.Bridge), pid
		}
		findings = append(findings, networkFindings(netsetup.Examine(ctx, query), nic.Bridge, len(seen) == 0)...)
		seen = append(seen, nic.Bridge)
	}
	return findings
}

// examineConsole warns about a guest that is stuck. A guest that never writes to its serial console may be well.
func examineConsole(vm vms.VM) Finding {
	stuck := qemu.ConsoleEnd(vm)
	if errors.Is(stuck, qemu.ErrNoOutput) {
		return findingOf("console", stuck.Error(), nil, nil, true)
	}
	return findingOf("console", "its last lines show no guest that is stuck", nil, stuck, false)
}

// networkFindings returns the findings about a bridge. Those of a second bridge have its name, and those that do not
// depend on the bridge are left out.
func networkFindings(report netsetup.Report, bridge string, first bool) []Finding {
	var findings []Finding
	for _, r := range report.Results {
		id := r.ID
		if !first {
			if !r.OfBridge {
				continue
			}
			id += ":" + bridge
		}
		f := Finding{ID: id, Level: r.Level, Evidence: r.Evidence, Err: r.Err}
		if r.Err != nil {
			f.Evidence = r.Err.Error()
		}
		findings = append(findings, f)
	}
	return findings
}

func findingOf(id, evidence string, failed, warned error, skipped bool) Finding {
	switch {
	case failed != nil:
		return Finding{id, Fail, failed.Error(), failed}
	case warned != nil:
		return Finding{id, Warn, warned.Error(), warned}
	case skipped:
		return Finding{id, Skipped, evidence, nil}
	}
	return Finding{id, OK, evidence, nil}
}

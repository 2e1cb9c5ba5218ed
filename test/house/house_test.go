// Package house holds the rules of the house that no linter knows: which
// package may import which, and that each dependency has its reason.
package house

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/qlaunch/qlaunch/"

// arrows is the picture in docs/architecture.md: what each package may import of ours.
var arrows = map[string][]string{
	"vms":               nil,
	"qmp":               nil,
	"qmp/agent":         nil,
	"netsetup":          {"netsetup/firewall"},
	"netsetup/lease":    nil,
	"netsetup/firewall": nil,
	"netsetup/host":     {"netsetup"},
	"launcher/qemu":     {"vms", "qmp", "qmp/agent"},
	"launcher/systemd":  nil,
	"launcher":          {"vms", "qmp", "qmp/agent", "netsetup", "netsetup/lease", "launcher/qemu", "launcher/systemd"},
	"cmd/qlaunch":       {"launcher", "vms", "netsetup/host"},
}

func TestPackagesImportOnlyWhatTheArrowsSay(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		pkg := strings.TrimPrefix(words[0], module)
		if strings.HasPrefix(pkg, "test/") {
			continue // the tests' own programs
		}
		allowed, known := arrows[pkg]
		if !known {
			t.Errorf("package %s has no place in the house", pkg)
		}
		seen[pkg] = true
		for _, imported := range words[1:] {
			ours, is := strings.CutPrefix(imported, module)
			if is && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s", pkg, ours)
			}
		}
	}
	for pkg := range arrows {
		if !seen[pkg] {
			t.Errorf("there is no package %s", pkg)
		}
	}
}

func TestEachDependencyHasItsReason(t *testing.T) {
	mod := read(t, "../../go.mod")
	architecture := read(t, "../../docs/architecture.md")
	found := 0
	for line := range strings.Lines(mod) {
		words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(words) != 2 || !strings.Contains(words[0], "/") || !strings.HasPrefix(words[1], "v") {
			continue // an indirect one has a third word
		}
		found++
		if row := fmt.Sprintf("| %s |", words[0]); !strings.Contains(architecture, row) {
			t.Errorf("docs/architecture.md has no row %q", row)
		}
	}
	if found < 4 {
		t.Errorf("found %d dependencies in go.mod", found)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheDemoRunsTheSessionOfTheREADME(t *testing.T) {
	_, session, _ := strings.Cut(read(t, "../../README.md"), "```\n")
	session, _, _ = strings.Cut(session, "```")
	demo := read(t, "../demo")
	typed := 0
	for line := range strings.Lines(session) {
		command, is := strings.CutPrefix(strings.TrimSpace(line), "$ ")
		if !is {
			continue
		}
		typed++
		if !strings.Contains(demo, "\ntype "+command+"\n") {
			t.Errorf("test/demo does not type %q", command)
		}
	}
	if typed < 4 {
		t.Errorf("the README opens with a session of %d commands", typed)
	}
}

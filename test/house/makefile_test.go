package house

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// dryRun is what make would run for a target.
func dryRun(t *testing.T, target string, environment ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", "--dry-run", target)
	cmd.Dir = "../.."
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains([]string{"MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "PAIRS", "FUZZTIME", "PREFIX", "DESTDIR"}, name) // an outer make's
	}), environment...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestTheEnvironmentSetsWhatTheMakefileLeavesOpen(t *testing.T) {
	for _, c := range []struct{ target, environment, without, with string }{
		{"bench", "PAIRS=7", "--pairs 11 ", "--pairs 7 "},
		{"fuzz", "FUZZTIME=3s", "-fuzztime 1m ", "-fuzztime 3s "},
		{"install", "PREFIX=/opt", " /usr/local/bin/qlaunch\n", " /opt/bin/qlaunch\n"},
		{"install", "DESTDIR=/stage", " /usr/local/bin/qlaunch\n", " /stage/usr/local/bin/qlaunch\n"},
	} {
		if got := dryRun(t, c.target); !strings.Contains(got, c.without) {
			t.Errorf("%s: no %q in\n%s", c.target, c.without, got)
		}
		if got := dryRun(t, c.target, c.environment); !strings.Contains(got, c.with) || strings.Contains(got, c.without) {
			t.Errorf("%s with %s: no %q in\n%s", c.target, c.environment, c.with, got)
		}
	}
}

func TestThePreflightIsBeforeTheTests(t *testing.T) {
	got := dryRun(t, "test")
	preflight, tests := strings.Index(got, "\nbuild/preflight\n"), strings.Index(got, " test -race ")
	if preflight < 0 || tests < preflight {
		t.Errorf("make test runs\n%s", got)
	}
}

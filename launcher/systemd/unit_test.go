package systemd

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheTemplateNamesTheBinaryThatInstalledIt(t *testing.T) {
	if diff := cmp.Diff(template, Files(usualBinary)[TemplateFile]); diff != "" {
		t.Errorf("the usual path changes it: %s", diff)
	}
	text := Files(`/home/u/50% "off"/qlaunch`)[TemplateFile]
	for _, want := range []string{
		`ExecStart="/home/u/50%% \"off\"/qlaunch" unit-start %i`,
		`ExecStop="/home/u/50%% \"off\"/qlaunch" unit-stop %i`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no line %s in\n%s", want, text)
		}
	}
}

// `make install` has the same files.
func TestMakeInstallsEveryUnitFile(t *testing.T) {
	recipe, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(recipe), "for unit in ")
	list, _, _ = strings.Cut(list, ";")
	want := slices.Sorted(maps.Keys(Files(usualBinary)))
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(strings.Fields(list)))); diff != "" {
		t.Error(diff)
	}
}

func TestTheLogsAreCutByTheBinaryThatInstalledTheTimer(t *testing.T) {
	files := Files("/opt/qlaunch")
	if !strings.Contains(files[LogsServiceFile], "\nExecStart=/opt/qlaunch trim\n") {
		t.Errorf("%s:\n%s", LogsServiceFile, files[LogsServiceFile])
	}
	if !strings.Contains(files[TemplateFile], "\nWants="+LogsTimerFile+"\n") {
		t.Errorf("%s:\n%s", TemplateFile, files[TemplateFile])
	}
}

func TestTheTemplateLeavesTheBridgeHelperAlone(t *testing.T) {
	if directive, ok := breaker(template); ok {
		t.Errorf("it has %s", directive)
	}
}

// user@.service is given 120 s when the host goes down (units/user@.service.in of systemd).
func TestAStopEndsBeforeTheUserManagerIsEnded(t *testing.T) {
	for line := range strings.Lines(template) {
		if value, ok := strings.CutPrefix(line, "TimeoutStopSec="); ok {
			d, err := time.ParseDuration(strings.TrimSpace(value))
			if err != nil || d > 100*time.Second {
				t.Errorf("%s, %v", value, err)
			}
			return
		}
	}
	t.Error("no TimeoutStopSec=")
}

func TestInstallWritesWhatIsNotThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "systemd/user")
	for _, step := range []struct {
		binary  string
		changed bool
	}{{"/usr/bin/qlaunch", true}, {"/usr/bin/qlaunch", false}, {"/opt/qlaunch", true}} {
		changed, err := Install(dir, step.binary)
		if err != nil || changed != step.changed {
			t.Errorf("%s: changed %v, %v; want %v", step.binary, changed, err, step.changed)
		}
		if !Same(filepath.Join(dir, TemplateFile), step.binary) {
			t.Errorf("%s: the template is not its own", step.binary)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != len(Files(usualBinary)) {
		t.Errorf("it wrote %v", entries)
	}
	if Same(filepath.Join(dir, "nosuch"), "/opt/qlaunch") {
		t.Error("no file is the same")
	}
}

func TestTheRestartDropInComesAndGoes(t *testing.T) {
	dir := t.TempDir()
	dropIn := filepath.Join(dir, "qlaunch@web.service.d/restart.conf")
	for i, step := range []struct{ onFailure, changed bool }{{false, false}, {true, true}, {true, false}, {false, true}, {false, false}} {
		changed, err := SetRestart(dir, "web", step.onFailure)
		if err != nil || changed != step.changed {
			t.Errorf("step %d: changed %v, %v", i, changed, err)
		}
		if _, err := os.Stat(dropIn); (err == nil) != step.onFailure {
			t.Errorf("step %d: %v", i, err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left: %v", entries)
	}
}

func TestForgetLeavesNothingOfAVM(t *testing.T) {
	dir := t.TempDir()
	wants := filepath.Join(dir, "default.target.wants")
	if err := os.Mkdir(wants, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../qlaunch@.service", filepath.Join(wants, "qlaunch@web.service")); err != nil {
		t.Fatal(err)
	}
	if _, err := SetRestart(dir, "web", true); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Forget(dir, "web"); err != nil {
			t.Error(err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestTheUnitOfAProcessIsInItsCgroup(t *testing.T) {
	for text, want := range map[string]string{
		"0::/user.slice/user-1000.slice/user@1000.service/qlaunch.slice/qlaunch@my-vm.service\n":                                       "qlaunch@my-vm.service",
		"4:memory:/user.slice\n1:name=systemd:/user.slice/user-1000.slice/user@1000.service/qlaunch.slice/qlaunch@web.service\n0::/\n": "qlaunch@web.service",
		"0::/user.slice/user-1000.slice/user@1000.service/qlaunch.slice/qlaunch@web.service/sub\n":                                     "qlaunch@web.service",
		"4:memory:/qlaunch@web.service\n0::/user.slice/user-1000.slice/session-1.scope\n":                                              "",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/notqlaunch@web.service\n":                                          "",
		"0::/\n": "", "": "", "junk": "",
	} {
		if got, ok := inCgroups(text); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", text, got, ok)
		}
	}
}

func TestABreakingLineIsFound(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	harmless := file("harmless.conf", "[Service]\n# NoNewPrivileges=yes\nNoNewPrivileges=no\nPrivateTmp=\nMemoryMax=2G\nLimitCORE=0\n")
	for _, line := range []string{
		"NoNewPrivileges=yes", "  SystemCallFilter = @system-service", "RestrictAddressFamilies=AF_UNIX", "LockPersonality=true",
		"MemoryDenyWriteExecute=1", "ProtectHostname=on", "PrivateUsers=yes", "ReadOnlyPaths=/etc", "NoExecPaths=/",
	} {
		bad := file("bad.conf", "[Service]\n"+line+"\n")
		directive := strings.TrimSpace(line[:strings.IndexByte(line, '=')]) + "="
		got, ok := FindBreaker([]string{"/nosuch", harmless, bad})
		if diff := cmp.Diff(Breaker{bad, directive}, got); !ok || diff != "" {
			t.Errorf("%s: %v %s", line, ok, diff)
		}
	}
	if got, ok := FindBreaker([]string{harmless}); ok {
		t.Errorf("found %v", got)
	}
}

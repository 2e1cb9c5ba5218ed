//go:build host

package host_test

import (
	"context"
	"errors"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is for what systemd and guests do in their own time; a user manager
// alone may take two minutes to end.
const patience = 3 * time.Minute

// typed are the commands of a script that are command lines, with who types
// them: root, dev, eve, or somebody in the outside world. Each of dev's and
// eve's is a login of its own.
func (s *session) typed() map[string]func(argv ...string) []string {
	return map[string]func(argv ...string) []string{
		"root":    s.host.Root,
		"outside": s.host.Outside,
		"user":    func(argv ...string) []string { return s.host.Login("dev", argv...) },
		"eve":     func(argv ...string) []string { return s.host.Login("eve", argv...) },
	}
}

// commands are those that a script has beside testscript's own.
func (s *session) commands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	all := map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"exits":       s.exits,
		"follow-hint": s.followHint,
		"stdout2env":  stdoutToEnv,
		"install":     s.install,
		"makeinstall": s.makeInstall,
		"snapshot":    s.snapshot,
		"reboot":      s.systemEnds("reboot", s.host.Reboot),
		"poweroff":    s.systemEnds("poweroff", s.host.PowerOff),
		"cut":         s.systemEnds("cut", s.host.Cut),
		"boot":        s.systemEnds("boot", s.host.Boot),
	}
	for who, line := range s.typed() {
		all[who] = func(ts *testscript.TestScript, neg bool, args []string) {
			usage(ts, neg || len(args) == 0, who+" COMMAND ARG…; for another exit code than 0: exits CODE "+who+" COMMAND ARG…")
			argv := line(args...)
			ts.Check(ts.Exec(argv[0], argv[1:]...))
		}
	}
	return all
}

// usage ends a script whose command is not used as it is meant.
func usage(ts *testscript.TestScript, wrong bool, text string) {
	if wrong {
		ts.Fatalf("usage: %s", text)
	}
}

// exits CODE WHO COMMAND ARG…: the command must end with that very exit code.
func (s *session) exits(ts *testscript.TestScript, neg bool, args []string) {
	who := s.typed()
	usage(ts, neg || len(args) < 3 || who[args[1]] == nil,
		"exits CODE WHO COMMAND ARG…, WHO one of "+strings.Join(slices.Sorted(maps.Keys(who)), ", "))
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	argv := who[args[1]](args[2:]...)
	got := 0
	err = ts.Exec(argv[0], argv[1:]...)
	ended, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case ok:
		got = ended.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// follow-hint: dev types what the last command's hint says.
func (s *session) followHint(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 0, "follow-hint")
	hints := regexp.MustCompile(`(?m)^qlaunch: hint: (.*)$`).FindAllStringSubmatch(ts.ReadFile("stderr"), -1)
	if len(hints) != 1 {
		ts.Fatalf("%d hints, want 1", len(hints))
	}
	ts.Logf("$ %s", hints[0][1])
	argv := s.host.Login("dev", "sh", "-c", hints[0][1])
	ts.Check(ts.Exec(argv[0], argv[1:]...))
}

// install PACKAGE: installs one of those that customize has put aside, and what it needs.
func (s *session) install(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "install PACKAGE")
	argv := s.host.Root("sh", "-c", `exec apt-get install -qq --yes --no-install-recommends --reinstall /var/cache/debs/"$0"/*.deb`, args[0])
	ts.Check(ts.Exec(argv[0], argv[1:]...))
}

// makeinstall: the host has all that make install installs.
func (s *session) makeInstall(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 0, "makeinstall")
	ts.Check(s.unpack(installed("/usr/local"), "root", "/usr/local"))
}

// stdout2env NAME: $NAME becomes what the last command has printed.
func stdoutToEnv(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "stdout2env NAME")
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// systemEnds is a command that waits until the host is on, or off.
func (s *session) systemEnds(name string, do func(context.Context) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		usage(ts, neg || len(args) > 0, name)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		begin := time.Now()
		ts.Check(do(ctx))
		ts.Logf("[%s took %s]", name, time.Since(begin).Round(10*time.Millisecond))
	}
}

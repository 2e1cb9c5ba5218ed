//go:build host

package host_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qlaunch/qlaunch/test/host"
)

var every = flag.Int("every", 24, "of the changes at which setup and teardown are killed, try each of that number; 1 takes an hour or more")

// Setup and teardown are killed at any change that they make, at half of the
// moments with the whole host. The next run completes the one, the other
// restores the host, and nothing is left of it all.
func TestWhatIsKilledOnAHostIsCompletedByTheNext(t *testing.T) {
	for i, release := range host.Releases() {
		t.Run(release.Name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
			defer cancel()
			h, err := host.Start(ctx, release, "build")
			if err != nil {
				t.Fatal(err)
			}
			s := &session{host: h, release: release}
			defer s.end(t)
			if err := s.installPrograms(); err != nil {
				t.Fatal(err)
			}
			k := killing{session: s, ctx: ctx, t: t, before: s.mustState(t)}
			// The releases have moments of their own.
			first := 1 + i**every/len(host.Releases())
			t.Logf("%d moments of setup", k.each("setup", first))
			t.Logf("%d moments of teardown", k.each("teardown", first))
		})
	}
}

// killing is the work of one host.
type killing struct {
	*session
	ctx    context.Context
	t      *testing.T
	before string
}

// each kills the command at one change after the other, and gives the number of moments.
func (k *killing) each(verb string, first int) (moments int) {
	for n := first; ; n += *every {
		if verb == "teardown" {
			k.must("qlaunch", "net", "setup", "--user", "dev")
		}
		said, killed := k.kill(n, verb)
		if killed && moments%2 == 1 {
			k.losePower()
		}
		if verb == "setup" {
			k.must("qlaunch", "net", "setup", "--user", "dev")
			if again := k.must("qlaunch", "net", "setup"); again != "nothing to do: qlbr0 is set up\n" {
				k.t.Errorf("setup leaves something to do:\n%s", again)
			}
		}
		k.must("qlaunch", "net", "teardown")
		if diff := cmp.Diff(strings.Split(k.before, "\n"), strings.Split(k.mustState(k.t), "\n")); diff != "" {
			k.t.Errorf("the host is not what it was (-before +after):\n%s", diff)
		}
		if k.t.Failed() {
			k.t.Fatalf("after net %s: %s", verb, said)
		}
		if !killed {
			k.t.Logf("net %s: %s", verb, said)
			return moments
		}
		moments++
	}
}

// kill runs the command and kills it, if it has so many changes to make.
func (k *killing) kill(n int, verb string) (said string, killed bool) {
	args := []string{"killat", strconv.Itoa(n), "qlaunch", "net", verb}
	if verb == "setup" {
		args = append(args, "--user", "dev")
	}
	argv := k.host.Root(args...)
	text, err := exec.CommandContext(k.ctx, argv[0], argv[1:]...).CombinedOutput()
	said = regexp.MustCompile(`(?m)^killat: .*$`).FindString(string(text))
	ended, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return said, false
	case !ok || ended.ExitCode() != 137:
		k.t.Fatalf("net %s: %v\n%s", verb, err, text)
	}
	return said, true
}

func (k *killing) losePower() {
	if err := errors.Join(k.host.Cut(k.ctx), k.host.Boot(k.ctx)); err != nil {
		k.t.Fatal(err)
	}
}

// must runs a command of root's, and gives what it printed.
func (k *killing) must(args ...string) string {
	argv := k.host.Root(args...)
	text, err := exec.CommandContext(k.ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		k.t.Fatal(fmt.Errorf("%q: %w\n%s", args, err, text))
	}
	return string(text)
}

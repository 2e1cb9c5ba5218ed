//go:build host

package host_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/qlaunch/qlaunch/test/host"
)

// runScript runs a script on a fresh host.
func runScript(t *testing.T, release host.Release, file string) {
	// The host outlives the script for as long as it takes to show what it left.
	ctx, cancel := context.WithTimeout(t.Context(), scriptDeadline+time.Minute)
	defer cancel()
	begin := time.Now()
	h, err := host.Start(ctx, release, "build")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("booted in %s", time.Since(begin).Round(time.Millisecond))
	s := &session{host: h, release: release}
	defer s.end(t)
	testscript.RunT(one{t}, testscript.Params{
		Files:              []string{file},
		Setup:              s.moveIn,
		Cmds:               s.commands(),
		Condition:          s.condition,
		RequireUniqueNames: true,
		Deadline:           time.Now().Add(scriptDeadline),
	})
}

// one is the T of the one script that a host is made for: it is no subtest.
type one struct{ *testing.T }

func (o one) Parallel() {}

func (o one) Run(_ string, script func(testscript.T)) { script(o) }

func (o one) Verbose() bool { return testing.Verbose() }

// session is a script's, on its host.
type session struct {
	host    *host.Host
	release host.Release
}

// end shows what is left of a session that failed, and ends its host.
func (s *session) end(t *testing.T) {
	if t.Failed() {
		dump(t, s.host)
	}
	if err := s.host.Close(); err != nil {
		t.Error(err)
	}
}

// condition is [debian12] or [debian13].
func (s *session) condition(name string) (bool, error) {
	for _, r := range host.Releases() {
		if r.Name == name {
			return r == s.release, nil
		}
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

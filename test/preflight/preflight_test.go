package preflight_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qlaunch/qlaunch/test/preflight"
)

// TestMain is the tests, what Check starts, and, where a test says so, the program that checks.
func TestMain(m *testing.M) {
	if code, ok := preflight.Main(os.Args, os.Stdin, os.Stdout, os.Stderr); ok {
		os.Exit(code)
	}
	if os.Getenv("PREFLIGHT_TEST") == "check" {
		notice, err := preflight.Check(context.Background())
		if fmt.Print(notice); err != nil {
			fmt.Print(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// check checks behind a command, whose last word runs what follows it, and gives what is said and the exit code.
func check(t *testing.T, command ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv := append(command, program)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "PREFLIGHT_TEST=check", "GORACE=atexit_sleep_ms=0")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || !ended.Exited()) {
		t.Fatalf("%v: %s", err, &out)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func TestWhatKeepsTheTestsFromRunningIsOneLineWithItsCure(t *testing.T) {
	const elsewhere = ": a chroot, a container or a sandbox forbids it: run this outside of it, or in a privileged container"
	root := t.TempDir()
	for _, c := range []struct{ what, surroundings, want string }{
		{"a chroot", "mount --rbind / " + root + " && exec chroot " + root + ` "$@"`,
			"make a user namespace: operation not permitted" + elsewhere},
		{"no more namespaces", `echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"`,
			"make a user namespace: no space left on device: /proc/sys/user/max_user_namespaces = 0: sudo sysctl -w user.max_user_namespaces=10000"},
		{"a container that hides a part of /proc", `mount -t tmpfs none /proc/sys && exec "$@"`,
			"mount a /proc in a user namespace: operation not permitted" + elsewhere},
		{"a container whose root is an ordinary user", `exec "$@"`,
			"make a world for a test: mount: lchown /mnt/home: invalid argument" + elsewhere},
	} {
		t.Run(c.what, func(t *testing.T) {
			got, code := check(t, "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", c.surroundings, "sh")
			if diff := cmp.Diff(c.want, got); diff != "" || code != 1 {
				t.Errorf("exit code %d, %s", code, diff)
			}
		})
	}
}

func TestWhereTheTestsRunOnlyKVMIsSpokenOf(t *testing.T) {
	got, code := check(t, "env")
	if code != 0 || got != "" && !strings.HasPrefix(got, "no guest runs under KVM here, and what needs one is skipped: ") || strings.Contains(got, "\n") {
		t.Errorf("exit code %d, %q", code, got)
	}
}

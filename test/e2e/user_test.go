package e2e

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/qlaunch/qlaunch/test/kvm"
	"github.com/qlaunch/qlaunch/test/world"
)

// exitSkipped is the exit code of a script for which this machine lacks something.
const exitSkipped = 77

// runScript types a script, in a world, and gives the exit code.
func runScript(file string, verbose bool) int {
	u := &user{verbose: verbose, out: os.Stdout}
	testscript.RunT(u, testscript.Params{
		Files:              []string{file},
		Setup:              moveIn,
		Cmds:               commands(),
		Condition:          condition,
		RequireUniqueNames: true,
		Deadline:           time.Now().Add(scriptDeadline),
	})
	switch {
	case u.failed:
		dump(u.out)
		return 1
	case u.skipped:
		return exitSkipped
	}
	return 0
}

// guestTOML is the definition of guestvm, for a script that brings none at all.
//
//go:embed testdata/guestvm.toml
var guestTOML []byte

// moveIn makes the script's files those of the user's home, and its variables
// those that the world gives to the user.
func moveIn(env *testscript.Env) error {
	entries, err := os.ReadDir(env.WorkDir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.Rename(filepath.Join(env.WorkDir, entry.Name()), filepath.Join(world.Home, entry.Name())); err != nil {
			return err
		}
	}
	env.Cd = world.Home
	for _, variable := range os.Environ() {
		key, value, _ := strings.Cut(variable, "=")
		env.Setenv(key, value)
	}
	if raceDetector {
		env.Setenv("GORACE", "atexit_sleep_ms=10") // or each command takes a second longer
	}
	definitions := filepath.Join(world.Home, ".config/qlaunch/vms")
	if _, err := os.Stat(definitions); err == nil {
		return nil
	}
	if err := os.MkdirAll(definitions, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(definitions, "guestvm.toml"), guestTOML, 0o644)
}

// condition is what a script may ask of the machine.
func condition(name string) (bool, error) {
	switch name {
	case "root": // root made this world, so that setuid works in it
		return os.Getuid() == world.User, nil
	case "kvm": // /dev/kvm can be opened
		return kvm.Opens() == nil, nil
	case "kvm-starts": // QEMU starts with KVM and its default CPU
		return kvm.HostCPUStarts(context.Background()) == nil, nil
	case "kvm-runs": // a guest of 16-bit code runs under KVM
		return kvm.Runs(context.Background()) == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// user is the testscript.T of the one script that a world is made for.
type user struct {
	verbose, failed, skipped bool
	out                      io.Writer
}

// ended unwinds a script that has failed or was skipped.
type ended struct{}

func (u *user) Verbose() bool { return u.verbose }

func (u *user) Parallel() {}

func (u *user) Log(args ...any) { fmt.Fprintln(u.out, strings.TrimSpace(fmt.Sprint(args...))) }

func (u *user) Fatal(args ...any) {
	u.Log(args...)
	u.FailNow()
}

func (u *user) FailNow() {
	u.failed = true
	panic(ended{})
}

func (u *user) Skip(args ...any) {
	u.Log(args...)
	u.skipped = true
	panic(ended{})
}

func (u *user) Run(_ string, script func(testscript.T)) {
	defer func() {
		if r := recover(); r != nil && r != (ended{}) {
			panic(r)
		}
	}()
	script(u)
}

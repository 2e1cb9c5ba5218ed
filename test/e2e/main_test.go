package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qlaunch/qlaunch/test/world"
)

// This program runs three times over: as the test, as the first process of each
// world that it makes, and, in there, as the user who types the script.
func TestMain(m *testing.M) {
	if code, ok := world.Main(os.Args, os.Stdin, os.Stdout, os.Stderr); ok {
		os.Exit(code)
	}
	if len(os.Args) == 4 && os.Args[1] == asUser {
		os.Exit(runScript(os.Args[2], os.Args[3] == "verbose"))
	}
	dir, err := os.MkdirTemp("", "qlaunch-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	once.dir = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// asUser is the argument 1 of the program that types a script.
const asUser = "qlaunch-e2e-user"

// Scripts take seconds, most of them a guest's boot. The world outlives the
// script's own deadline for as long as it takes to show what it left.
const (
	scriptDeadline = 4 * time.Minute
	worldDeadline  = scriptDeadline + 30*time.Second
)

// side by side: guests are processor-bound while they boot.
const sideBySide = 2

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts:", err)
	}
	b := built(t)
	free := make(chan struct{}, sideBySide)
	for _, file := range files {
		o, err := worldOf(file)
		if err != nil {
			t.Fatal(err)
		}
		for name, o := range o.each(nameOf(file)) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				free <- struct{}{}
				defer func() { <-free }()
				b.run(t, file, o)
			})
		}
	}
}

// A start of ours over QEMU's own: this one runs by itself, and with the program
// as users have it, because it takes times.
func TestStartCost(t *testing.T) {
	b := built(t)
	b.qlaunch = b.plain
	const file = "testdata/alone/what-a-start-costs-over-raw-qemu.txtar"
	o, err := worldOf(file)
	if err != nil {
		t.Fatal(err)
	}
	b.run(t, file, o)
}

func nameOf(file string) string { return strings.TrimSuffix(filepath.Base(file), ".txtar") }

// run runs a script in a fresh world.
func (b build) run(t *testing.T, file string, o options) {
	if o.Root && os.Geteuid() != 0 {
		t.Skip("only root can make such a world")
	}
	ctx, cancel := context.WithTimeout(t.Context(), worldDeadline)
	defer cancel()
	inside := filepath.Join(world.Dir, filepath.Base(file))
	o.Copy = map[string]string{"bin/qlaunch": b.qlaunch, "guest": b.guest, "fakehelper": b.helper, filepath.Base(file): file}
	verbosity := "quiet"
	if testing.Verbose() {
		verbosity = "verbose"
	}
	cmd, err := world.Command(ctx, o.Options, "/proc/self/exe", asUser, inside, verbosity)
	if err != nil {
		if os.Geteuid() != 0 && strings.HasSuffix(err.Error(), "only root can make such a world") {
			t.Skip(err) // not for a missing tool: the scripts of the other worlds still run
		}
		t.Fatal(err)
	}
	output, err := cmd.CombinedOutput()
	t.Logf("%s", output)
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && ended.ExitCode() == exitSkipped {
		t.SkipNow()
	}
	if ctx.Err() != nil {
		t.Fatalf("not done after %s", worldDeadline)
	}
	if err != nil {
		t.Fatal(err)
	}
}

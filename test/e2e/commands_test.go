package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rogpeppe/go-internal/testscript"

	goqmp "github.com/digitalocean/go-qemu/qmp"

	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/test/kvm"
	"github.com/qlaunch/qlaunch/test/world"
)

// patience is for what a guest, or QEMU, does in its own time.
const patience = time.Minute

// commands are those that a script has beside testscript's own.
func commands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"qlaunch":     qlaunch,
		"exits":       exits,
		"follow-hint": followHint,
		"console":     console,
		"processes":   listProcesses,
		"pid":         pid,
		"qmp":         askQMP,
		"boot-sector": bootSector,
		"start-cost":  startCost,
	}
}

// usage ends a script whose command is not used as it is meant.
func usage(ts *testscript.TestScript, wrong bool, text string) {
	if wrong {
		ts.Fatalf("usage: %s", text)
	}
}

// qlaunch ARG…: it must end with exit code 0.
func qlaunch(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, "qlaunch ARG…; for another exit code than 0: exits CODE qlaunch ARG…")
	ts.Check(ts.Exec("qlaunch", args...))
}

// exits CODE COMMAND ARG…: the command must end with that very exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2, "exits CODE COMMAND ARG…")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
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

// follow-hint: types what the last command's hint says.
func followHint(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 0, "follow-hint")
	hints := regexp.MustCompile(`(?m)^qlaunch: hint: (.*)$`).FindAllStringSubmatch(ts.ReadFile("stderr"), -1)
	if len(hints) != 1 {
		ts.Fatalf("%d hints, want 1", len(hints))
	}
	ts.Logf("$ %s", hints[0][1])
	ts.Check(ts.Exec("sh", "-c", hints[0][1]))
}

// console NAME REGEXP: waits until the guest has written it to its console.
func console(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "console NAME REGEXP")
	pattern := regexp.MustCompile("(?m)" + args[1])
	file := filepath.Join(world.Home, ".local/state/qlaunch", args[0], "console.log")
	watch, err := fsnotify.NewWatcher()
	ts.Check(err)
	defer watch.Close()
	ts.Check(watch.Add(filepath.Dir(file)))
	deadline := time.After(patience)
	for {
		text, err := os.ReadFile(file)
		if err == nil && pattern.Match(text) {
			return
		}
		select {
		case <-watch.Events:
		case err := <-watch.Errors:
			ts.Fatalf("%v", err)
		case <-deadline:
			ts.Fatalf("not on the console of %s after %s: %s", args[0], patience, args[1])
		}
	}
}

// processes: prints the name of each process that runs for the user.
func listProcesses(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 0, "processes")
	out := ts.Stdout() // which empties it
	for _, p := range processes() {
		fmt.Fprintln(out, p.name)
	}
}

// pid NAME: $pid becomes that of the VM's QEMU.
func pid(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "pid NAME")
	text, err := os.ReadFile(filepath.Join(ts.Getenv("XDG_RUNTIME_DIR"), "qlaunch", args[0], "pid"))
	ts.Check(err)
	ts.Setenv("pid", strings.TrimSpace(string(text)))
}

// qmp NAME COMMAND: prints the JSON that QEMU answers.
func askQMP(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "qmp NAME COMMAND")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m, err := qmp.Dial(ctx, filepath.Join(ts.Getenv("XDG_RUNTIME_DIR"), "qlaunch", args[0], "qmp.sock"))
	ts.Check(err)
	defer m.Close()
	command, err := json.Marshal(goqmp.Command{Execute: args[1]})
	ts.Check(err)
	answer, err := m.With(ctx).Run(command)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s\n", answer)
}

// boot-sector FILE TEXT: makes a disk image whose boot sector writes the text to
// the first serial port and halts.
func bootSector(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2 || len(args[1]) > 64, "boot-sector FILE TEXT")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), kvm.BootSector(args[1]), 0o644))
}

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/qlaunch/qlaunch/qmp"
)

// start-cost NAME PAIRS: starts the VM by turns with qlaunch and as a shell
// starts QEMU with the line of `qlaunch argv`, and says what the one takes over
// the other. No bound is held against it: that would be a bound on this machine.
func startCost(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "start-cost NAME PAIRS")
	name := args[0]
	pairs, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(ts.Exec("qlaunch", "argv", name))
	line := ts.ReadFile("stdout")
	var ours, raw []time.Duration
	var ratios []float64
	for range pairs {
		o, r := timeUp(ts, name), timeRaw(ts, name, line)
		ours, raw, ratios = append(ours, o), append(raw, r), append(ratios, float64(o)/float64(r))
	}
	for _, list := range [][]time.Duration{ours, raw} {
		slices.Sort(list)
	}
	slices.Sort(ratios)
	ts.Logf("median of %d pairs: qlaunch up --wait running %s, QEMU by hand %s, ratio %.2f (from %.2f to %.2f)", pairs,
		ours[pairs/2].Round(100*time.Microsecond), raw[pairs/2].Round(100*time.Microsecond), ratios[pairs/2], ratios[0], ratios[pairs-1])
}

// timeUp is how long qlaunch takes until QEMU answers.
func timeUp(ts *testscript.TestScript, name string) time.Duration {
	begin := time.Now()
	err := exec.Command("qlaunch", "up", name, "--wait", "running").Run()
	taken := time.Since(begin)
	ts.Check(err)
	ts.Check(exec.Command("qlaunch", "down", name, "--force").Run())
	return taken
}

// timeRaw is how long a QEMU of a shell's takes until it answers. Its socket
// comes up when it does, so this asks again at once.
func timeRaw(ts *testscript.TestScript, name, line string) time.Duration {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	socket := filepath.Join(ts.Getenv("XDG_RUNTIME_DIR"), "qlaunch", name, "qmp.sock")
	_ = os.Remove(socket)
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+line)
	begin := time.Now()
	ts.Check(cmd.Start())
	m, err := qmp.Dial(ctx, socket)
	for err != nil && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
		m, err = qmp.Dial(ctx, socket)
	}
	taken := time.Since(begin)
	ts.Check(err)
	ts.Check(m.Quit(ctx))
	ts.Check(m.Close())
	ts.Check(cmd.Wait())
	return taken
}

package crash

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// With the real QEMU, at moments that nobody chose.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Logf("seed %d: go test ./test/crash -run '^%s$' -seed %d -rounds %d", *seed, t.Name(), *seed, *rounds)
	dice := rand.New(rand.NewPCG(*seed, 0))
	usual := howLong(t)
	for range *rounds {
		r := round{up: dice.IntN(2) == 0, ofQEMU: dice.IntN(2) == 0}
		r.after = time.Duration(dice.Int64N(int64(usual[r.up]) * 5 / 4))
		t.Run(r.String(), r.play)
	}
}

// howLong takes the time of an undisturbed up (true) and down (false).
func howLong(t *testing.T) map[bool]time.Duration {
	h := newHome(t)
	h.define("")
	start := time.Now()
	h.must("up", web)
	up := time.Since(start)
	start = time.Now()
	h.must("down", web)
	return map[bool]time.Duration{true: up, false: time.Since(start)}
}

// round is one kill.
type round struct {
	up     bool          // of an up, else of a down
	ofQEMU bool          // QEMU dies, else qlaunch
	after  time.Duration // from the command's start
}

func (r round) String() string {
	command, victim := "down", "qlaunch"
	if r.up {
		command = "up"
	}
	if r.ofQEMU {
		victim = "QEMU"
	}
	return victim + " dies in " + command + " after " + r.after.Round(time.Millisecond).String()
}

// kill kills a process and waits until it is gone.
func (p process) kill(t *testing.T) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return // gone
	}
	defer unix.Close(fd)
	_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	gone := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(gone, int(deadline.Milliseconds()))
	for errors.Is(err, unix.EINTR) { // a signal, of which the Go runtime makes some itself
		n, err = unix.Poll(gone, int(deadline.Milliseconds()))
	}
	if n != 1 {
		t.Fatalf("pid %d: lives after SIGKILL: %v", p.pid, err)
	}
}

func (r round) play(t *testing.T) {
	h := newHome(t)
	h.define("")
	args := []string{"up", web}
	if !r.up {
		h.must("up", web)
		args[0] = "down"
	}
	cmd := exec.Command(programs.qlaunch, args...)
	cmd.Env, cmd.Dir, cmd.Stderr = h.environ(), h.dir, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(r.after) // the moment is the test
	if r.ofQEMU {
		for _, p := range h.processes() {
			if p.isQEMU() {
				p.kill(t)
			}
		}
	} else {
		_ = cmd.Process.Kill()
	}
	_ = cmd.Wait() // any end is right that leaves things right
	h.holds("")
}

package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// A scene is a command that is hurt, and what came before it.
type scene struct {
	args   []string
	before [][]string
}

func scenes() []scene {
	return []scene{
		{args: []string{"up", web}},
		{args: []string{"down", web}, before: [][]string{{"up", web}}},
		{args: []string{"rm", "--yes", web}, before: [][]string{{"up", web}, {"down", web}}},
		{args: []string{"up", web}, before: [][]string{{"up", web}, {"down", web}}},
		{args: []string{"restart", web}, before: [][]string{{"up", web}}},
	}
}

// blow is what happens to a call: strace's words for it, and the calls that it is tried with.
type blow struct {
	name   string
	inject string
	calls  []string
	files  []string // of the home: only calls on these; none: all
}

// interrupted is the blow after which a VM that runs is as good as one that does not: status knows.
const interrupted = "interrupted"

const noSpace = "no space"

// The calls by which a command changes what others see. Go makes them by these names on every Linux that it runs on.
func blows() []blow {
	return []blow{
		{name: "killed", inject: "signal=KILL", calls: []string{"openat", "write", "pwrite64", "ftruncate", "fsync", "renameat", "unlinkat",
			"mkdirat", "linkat", "fchmodat", "bind", "listen", "connect", "clone", "pidfd_send_signal"}},
		{name: interrupted, inject: "signal=INT", calls: []string{"openat", "write", "pwrite64", "ftruncate", "renameat", "unlinkat",
			"mkdirat", "linkat", "bind", "connect", "clone", "pidfd_send_signal"}},
		// Not the execve that is strace's own.
		{name: "killed", inject: "signal=KILL", calls: []string{"execve"}, files: []string{programs.fakeQEMU}},
		{name: noSpace, inject: "error=ENOSPC", calls: []string{"openat", "pwrite64", "fsync", "renameat", "mkdirat", "linkat", "bind"}},
		// Not to sockets, which have no such end.
		{name: noSpace, inject: "error=ENOSPC", calls: []string{"write"}, files: []string{"run/qlaunch/web/config.toml.part"}},
	}
}

// Each command is hurt at its first call of a kind, its second, its third … up to its last.
func TestCrashMatrix(t *testing.T) {
	mayTrace(t)
	var points atomic.Int64
	free := make(chan struct{}, 2)
	t.Run("", func(t *testing.T) {
		for _, s := range scenes() {
			for _, b := range blows() {
				for _, call := range b.calls {
					name := strings.Join(s.args, " ")
					if len(s.before) == 2 {
						name += " again"
					}
					t.Run(fmt.Sprintf("%s/%s at %s", name, b.name, call), func(t *testing.T) {
						t.Parallel()
						free <- struct{}{}
						defer func() { <-free }()
						for _, n := range s.moments(t, b, call) {
							t.Run(fmt.Sprint(n), func(t *testing.T) {
								s.play(t, b, call, n)
								points.Add(1)
							})
						}
					})
				}
			}
		}
	})
	t.Logf("%d points", points.Load())
	fmt.Fprintf(os.Stderr, "crash matrix: %d points\n", points.Load())
}

// mayTrace fails where the matrix could not hurt anything.
func mayTrace(t *testing.T) {
	said, err := exec.Command("strace", "-f", "-o", "/dev/null", "true").CombinedOutput()
	if err != nil {
		t.Fatalf("strace, with which the commands are hurt, cannot trace here (ptrace(2) may be forbidden, as in some containers): %v\n%s", err, said)
	}
}

// moments are the numbers of a command's calls of a kind, as a run has them that
// is left alone. What it reads of other processes, as many as there are, is left out.
func (s scene) moments(t *testing.T, b blow, call string) []int {
	h := s.set(t)
	e, trace := h.traced(b, call, 0, s.args)
	if e.code != 0 {
		t.Fatalf("left alone, and exit code %d\n%s", e.code, e.err)
	}
	count := map[string]int{} // of each thread
	var moments []int
	for line := range strings.Lines(trace) {
		thread, rest, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(strings.TrimSpace(rest), call+"(") {
			continue
		}
		count[thread]++
		if n := count[thread]; !ofProcess.MatchString(line) && !slices.Contains(moments, n) {
			moments = append(moments, n)
		}
	}
	slices.Sort(moments)
	return moments
}

var ofProcess = regexp.MustCompile(`"/proc/[0-9]+/`)

// set sets a scene up.
func (s scene) set(t *testing.T) *home {
	h := newHome(t)
	h.define(h.fakeQEMU())
	for _, args := range s.before {
		h.must(args...)
	}
	return h
}

// play plays one scene and hurts its n-th call.
func (s scene) play(t *testing.T, b blow, call string, n int) {
	h := s.set(t)
	e, _ := h.traced(b, call, n, s.args)
	if err := s.isTruthful(h, b, call, e); err != nil {
		t.Fatal(err)
	}
	h.holds(h.fakeQEMU())
}

// traced runs qlaunch under strace, and gives what that wrote down.
func (h *home) traced(b blow, call string, n int, args []string) (ended, string) {
	h.t.Helper()
	trace := h.path("trace")
	e := h.run(h.strace(trace, b, call, n, args), []string{"GOMAXPROCS=1"})
	text, err := os.ReadFile(trace)
	if err != nil {
		h.t.Fatal(err)
	}
	return e, string(text)
}

// strace is the line that runs qlaunch and hurts its n-th call of a kind; none for 0.
//
// strace counts each thread's calls by themselves. So that they are all one
// thread's, and each run's the same, Go's monitor thread is put to sleep, which
// takes the processor from a goroutine whose call is slow, as all are here, and lets another thread go on.
func (h *home) strace(trace string, b blow, call string, n int, args []string) []string {
	argv := []string{"strace", "-f", "-b", "execve", "-o", trace, "-e", "trace=nanosleep," + call, "-e", "inject=nanosleep:delay_enter=50ms"}
	if n > 0 {
		argv = append(argv, "-e", fmt.Sprintf("inject=%s:%s:when=%d", call, b.inject, n))
	}
	for _, file := range b.files {
		if !filepath.IsAbs(file) {
			file = h.path(file)
		}
		argv = append(argv, "-P", file)
	}
	return append(append(argv, programs.qlaunch), args...)
}

func (s scene) starts() bool { return s.args[0] == "up" || s.args[0] == "restart" }

// isTruthful judges a command that ended by itself: what it says is what is.
func (s scene) isTruthful(h *home, b blow, call string, e ended) error {
	if e.signal == unix.SIGKILL || e.signal == unix.SIGINT {
		return nil
	}
	e.err = regexp.MustCompile(`(?m)^strace: .*\n`).ReplaceAllString(e.err, "")
	running := len(h.settled(web))
	switch {
	case b.name == interrupted && e.code == 130:
		// The guest has 200 ms to shut down: on a busy machine that may be over before, and then QMP quit has ended it.
		said := strings.TrimPrefix(e.err, "qlaunch: web: ended by QMP quit\n")
		if want := "qlaunch: error: " + s.args[0] + " web: interrupted\n"; said != want {
			return fmt.Errorf("interrupted, and said\n%swant\n%s", e.err, want)
		}
	case b.name == interrupted && e.code != 0:
		return fmt.Errorf("interrupted, and exit code %d\n%s", e.code, e.err)
	case b.name == noSpace && call == "pwrite64" && !s.starts() && e.code != 0:
		return fmt.Errorf("a full disk keeps nobody from %s: exit code %d\n%s", s.args[0], e.code, e.err)
	case e.code == 0 && s.starts() != (running == 1):
		return fmt.Errorf("exit code 0, and %d QEMUs", running)
	case e.code != 0 && s.args[0] == "up" && running != 0:
		return fmt.Errorf("exit code %d, and %d QEMUs\n%s", e.code, running, e.err)
	case e.code != 0 && !regexp.MustCompile(`(?m)^qlaunch: error: `).MatchString(e.err):
		return fmt.Errorf("exit code %d without a word of ours: %q", e.code, e.err)
	}
	return nil
}

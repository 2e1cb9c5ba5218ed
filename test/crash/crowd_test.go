package crash

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// documented are all ends of a command that others may cause by what they do to
// the same VM at the same time: exit code, then what stands on standard error.
var documented = regexp.MustCompile(`^(` + strings.Join([]string{
	`(up|down|rm|ls|restart) 0 `,
	`status [03] `,
	// Another command has removed the VM, or removes it now.
	`(up|down|status|rm) 4 qlaunch: error: (up|down|status|rm) VM: no VM "VM": DIR/config/qlaunch/vms/VM.toml does not exist\|qlaunch: hint: qlaunch ls\|`,
	// Another command has started it.
	`rm 7 qlaunch: error: rm VM: it is running(: QEMU, pid PID)?\|qlaunch: hint: qlaunch down VM\|`,
}, `|`) + `)$`)

// VMs come, go and are removed under many hands.
func TestACrowdNeverGetsTwoQEMUsOfOneVM(t *testing.T) {
	h := newHome(t)
	t.Logf("seed %d", *seed)
	vms := []string{"vm0", "vm1", "vm2", "vm3"}
	for _, vm := range vms {
		if err := h.crowded(vm); err != nil {
			t.Fatal(err)
		}
	}
	all := &tally{texts: map[string]int{}}
	var crowded sync.WaitGroup
	end := time.Now().Add(*crowdFor)
	for i := range *crowd {
		crowded.Go(func() {
			dice := rand.New(rand.NewPCG(*seed, uint64(i)))
			for time.Now().Before(end) {
				vm := vms[dice.IntN(len(vms))]
				all.add(h.oneOf(dice, vm), h, vm)
			}
		})
	}
	crowded.Wait()
	for _, text := range slices.SortedFunc(maps.Keys(all.texts), func(a, b string) int { return cmp.Compare(all.texts[b], all.texts[a]) }) {
		t.Logf("%6d  %s", all.texts[text], text)
		if !documented.MatchString(text) {
			t.Errorf("not a documented end: %s", text)
		}
	}
	for _, err := range all.errs {
		t.Error(err)
	}
	h.calmsDown(vms)
}

// calmsDown ends all VMs; each comes up once more, and goes.
func (h *home) calmsDown(vms []string) {
	for _, vm := range vms {
		if err := h.crowded(vm); err != nil {
			h.t.Fatal(err)
		}
		h.must("up", vm)
		if running := h.settled(vm); len(running) != 1 {
			h.t.Errorf("QEMUs of %s: %v, want one", vm, running)
		}
		h.must("down", vm)
		h.must("rm", "--yes", vm)
	}
	if left := h.processes(); len(left) > 0 {
		h.t.Errorf("these live: %v", left)
	}
	for _, file := range slices.Concat(h.files("run"), h.files("data"), h.files("state")) {
		if !strings.HasSuffix(file, "/") || strings.Contains(file, "/vm") && !strings.HasSuffix(file, "/vms/") {
			h.t.Errorf("left: %s", file)
		}
	}
	marks, _ := filepath.Glob(h.path("marks/*.marks"))
	for _, mark := range marks {
		text, _ := os.ReadFile(mark)
		h.t.Errorf("QEMU saw what must never be: %s:\n%s", filepath.Base(mark), text)
	}
}

// crowded defines a VM where it is not defined, whole at once.
func (h *home) crowded(vm string) error {
	text := "memory = \"64MiB\"\naccel = \"tcg\"\n[[disk]]\nformat = \"raw\"\nsize = \"64KiB\"\n[[nic]]\ntype = \"none\"\n" + h.fakeQEMU("-fake-late", "10ms")
	f, err := os.CreateTemp(h.dir, "definition")
	if err != nil {
		return err
	}
	defer f.Close()
	defer os.Remove(f.Name())
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	if err := os.Link(f.Name(), h.definition(vm)); !os.IsExist(err) {
		return err
	}
	return nil
}

func (h *home) oneOf(dice *rand.Rand, vm string) []string {
	switch n := dice.IntN(20); {
	case n < 7:
		if err := h.crowded(vm); err != nil {
			return nil
		}
		return []string{"up", vm}
	case n < 12:
		return []string{"down", vm}
	case n < 15:
		return []string{"status", vm}
	case n < 18:
		return []string{"rm", "--yes", vm}
	default:
		return []string{"ls"}
	}
}

// tally counts how commands end.
type tally struct {
	sync.Mutex
	texts map[string]int
	errs  []error
}

func (a *tally) add(args []string, h *home, vm string) {
	e, err := h.try(append([]string{programs.qlaunch}, args...), nil)
	text := fmt.Sprintf("%s %d %s", args[0], e.code, e.err)
	if args[0] == "status" && e.code == 1 {
		text += e.out // it says why
	}
	text = strings.NewReplacer(h.dir, "DIR", "\n", "|").Replace(text)
	text = regexp.MustCompile(`\b`+vm+`\b`).ReplaceAllString(text, "VM")
	text = regexp.MustCompile(`\bpid \d+`).ReplaceAllString(text, "pid PID")
	a.Lock()
	defer a.Unlock()
	a.texts[text]++
	if err != nil {
		a.errs = append(a.errs, err)
	}
}

func TestTwentyUpsOfOneVMAreOneQEMU(t *testing.T) {
	h := newHome(t)
	h.define(h.fakeQEMU("-fake-late", "50ms"))
	ends := make([]ended, 20)
	errs := make([]error, len(ends))
	var ups sync.WaitGroup
	for i := range ends {
		ups.Go(func() { ends[i], errs[i] = h.try([]string{programs.qlaunch, "up", web}, nil) })
	}
	ups.Wait()
	for i, e := range ends {
		if errs[i] != nil || e.code != 0 || e.out+e.err != "" {
			t.Errorf("up: exit code %d, %v\n%s%s", e.code, errs[i], e.out, e.err)
		}
	}
	if running := h.settled(web); len(running) != 1 {
		t.Errorf("QEMUs: %v, want one", running)
	}
	h.comesBack()
}

// A qlaunch that is killed leaves its QEMU on its own. The user types up again at once.
func TestAnUpBehindAKilledUpFindsItsQEMUBeforeThatHasItsLock(t *testing.T) {
	h := newHome(t)
	h.killedUp()
	h.comesBack()
}

// The same for who wants to be rid of it: down waits for the QEMU that is still on its way.
func TestADownByForceBehindAKilledUpEndsItsQEMU(t *testing.T) {
	h := newHome(t)
	h.killedUp()
	h.must("down", "--force", web)
	if running := h.settled(web); len(running) != 0 {
		t.Fatalf("down: exit code 0, and these live: %v", running)
	}
	h.comesBack()
}

// killedUp kills an up whose QEMU is there, and for two seconds more has no lock.
func (h *home) killedUp() {
	h.t.Helper()
	h.define(h.fakeQEMU("-fake-late", "2s"))
	cmd := exec.Command(programs.qlaunch, "up", web)
	cmd.Env, cmd.Dir, cmd.Stderr = h.environ(), h.dir, os.Stderr
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	for end := time.Now().Add(deadline); !slices.ContainsFunc(h.processes(), process.isQEMU); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatal("no QEMU")
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		h.t.Fatal(err)
	}
	_ = cmd.Wait()
}

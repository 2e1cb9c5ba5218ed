package qemu

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

func TestAQEMUWhoseFilesAreGoneIsAnOrphan(t *testing.T) {
	for name, lose := range map[string]func(vm vms.VM) error{
		"the pid file":      func(vm vms.VM) error { return os.Remove(PIDFile(vm)) },
		"the run directory": func(vm vms.VM) error { return os.RemoveAll(vm.RunDir) },
		"all run files":     func(vm vms.VM) error { return os.RemoveAll(filepath.Dir(vm.RunDir)) },
		"replaced": func(vm vms.VM) error {
			return errors.Join(os.RemoveAll(vm.RunDir), MakeDirs(vm), os.WriteFile(PIDFile(vm), []byte("1\n"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			vm := testVM(t, noNIC)
			p := start(t, vm)
			t.Cleanup(func() { _ = p.Signal(unix.SIGKILL) })
			if o, ok, err := FindOrphan(vm); err != nil || ok {
				t.Fatalf("before: %+v, %v", o, err)
			}
			if err := lose(vm); err != nil {
				t.Fatal(err)
			}
			if o, ok, err := FindOrphan(vm); err != nil || !ok || o.PID != p.PID || o.Name != "guestvm" || time.Since(o.Started) > time.Minute {
				t.Errorf("%+v, %v, %v; want pid %d", o, ok, err, p.PID)
			}
			want := fmt.Sprintf("an orphan runs: QEMU, pid %d, whose pid file is gone", p.PID)
			if err := NoOrphan(vm); err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if err := Remove(vm); err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if status, err := Ask(t.Context(), vm); err != nil || status.State != Orphaned || status.PID != p.PID {
				t.Errorf("%+v, %v; want orphan, pid %d", status, err, p.PID)
			}
			if o, method, err := StopOrphan(t.Context(), vm); err != nil || method != Term || o.PID != p.PID {
				t.Errorf("%+v, %q, %v; want %q", o, method, err, Term)
			}
			if _, _, err := StopOrphan(t.Context(), vm); !errors.Is(err, ErrNotRunning) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestAnOrphanThatIsStoppedEndsBySIGKILL(t *testing.T) {
	vm := testVM(t, noNIC)
	p := start(t, vm)
	if err := errors.Join(p.Signal(unix.SIGSTOP), os.RemoveAll(vm.RunDir)); err != nil {
		t.Fatal(err)
	}
	if _, method, err := StopOrphan(t.Context(), vm); err != nil || method != Kill {
		t.Errorf("%q, %v; want %q", method, err, Kill)
	}
}

func TestAProcessThatOnlyNamesThePIDFileIsNoOrphan(t *testing.T) {
	vm := testVM(t, noNIC)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "read line", "sh", "-pidfile", PIDFile(vm))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if o, ok, err := FindOrphan(vm); err != nil || ok {
		t.Errorf("%+v, %v", o, err)
	}
	if err := errors.Join(stdin.Close(), ignoreExit(cmd.Wait())); err != nil {
		t.Fatal(err)
	}
}

// After a logout all VMs of a user may be orphans, and each might be about to end.
func TestManyOrphansTakeNoLongerThanOne(t *testing.T) {
	runtime := t.TempDir()
	const many = 16
	for i := range many {
		pidfile := filepath.Join(runtime, fmt.Sprintf("vm%d", i), "pid")
		cmd := exec.CommandContext(t.Context(), "sh", "-c", `mkdir -p "${2%/*}" && exec 9>"$2" && rm "$2" && echo && read line`, "sh", "-pidfile", pidfile)
		said, err1 := cmd.StdoutPipe()
		stdin, err2 := cmd.StdinPipe()
		if err := errors.Join(err1, err2, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = errors.Join(stdin.Close(), cmd.Wait()) }()
		if _, err := said.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	all, err := QEMUs()
	found := Orphans(slices.DeleteFunc(all, func(q QEMU) bool { return filepath.Dir(q.RunDir) != runtime }))
	if took := time.Since(began); err != nil || len(found) != many || took > many*lastMoment/2 {
		t.Errorf("%d orphans after %s, %v; want %d after %s", len(found), took, err, many, lastMoment)
	}
}

func ignoreExit(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}

func TestAVMThatACommandIsAboutToStartIsStarting(t *testing.T) {
	for command, want := range map[Command]State{CommandUp: Starting, CommandRestart: Starting, CommandDown: Stopped, CommandRemove: Stopped, CommandEntry: Stopped} {
		vm := testVM(t, noNIC)
		lock, err := Acquire(t.Context(), vm, command)
		if err != nil {
			t.Fatal(err)
		}
		if status, err := Ask(t.Context(), vm); err != nil || status.State != want {
			t.Errorf("%s: %+v, %v; want %s", command, status, err, want)
		}
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
		if status, err := Ask(t.Context(), vm); err != nil || status != (Status{State: Stopped}) {
			t.Errorf("%s, released: %+v, %v", command, status, err)
		}
	}
}

func BenchmarkOrphans(b *testing.B) {
	for b.Loop() {
		all, err := QEMUs()
		if err != nil {
			b.Fatal(err)
		}
		Orphans(all)
	}
}

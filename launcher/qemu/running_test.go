package qemu

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

func noProcesses() ([]QEMU, error) { return nil, nil }

func TestAVMRunsForEverybodyAsLongAsItsQEMULives(t *testing.T) {
	vm := testVM(t, noNIC+"[[disk]]\nsize = \"1MiB\"\n")
	if dir, held, err := readRunning(vm); dir != "" || held || err != nil {
		t.Fatalf("before: %q, %v, %v", dir, held, err)
	}
	p := start(t, vm)
	elsewhere := vm
	elsewhere.RunDir = filepath.Join(t.TempDir(), "run", vm.Name)
	for _, asked := range []vms.VM{vm, elsewhere} {
		at, err := Locate(asked, noProcesses)
		if err != nil || at.RunDir != vm.RunDir || !IsRunning(at) {
			t.Errorf("%s: in %s, %v; want %s", asked.RunDir, at.RunDir, err, vm.RunDir)
		}
		if err := Check(asked); err != nil {
			t.Errorf("%s: its own disk is another's: %v", asked.RunDir, err)
		}
		if _, err := Start(t.Context(), Resolved{VM: asked}, nil, quiet); !errors.Is(err, ErrRunning) {
			t.Errorf("%s: a second start: %v", asked.RunDir, err)
		}
		if err := Remove(asked); !errors.Is(err, ErrRunning) || !strings.HasPrefix(err.Error(), "it is running: QEMU, pid ") {
			t.Errorf("%s: %v", asked.RunDir, err)
		}
	}
	if err := errors.Join(p.Signal(unix.SIGKILL), p.Wait(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, held, err := readRunning(vm); held || err != nil {
		t.Errorf("after SIGKILL: held %v, %v", held, err)
	}
	if at, err := Locate(elsewhere, noProcesses); err != nil || at.RunDir != elsewhere.RunDir {
		t.Errorf("what the file still says is believed: %s, %v", at.RunDir, err)
	}
	if err := Sweep(vm); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(runningFile(vm)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// The kernel takes a process's command line from it before its files.
func TestALockWhoseProcessCannotBeSeenIsThatOfAnEndOrOfAnotherPIDNamespace(t *testing.T) {
	vm := testVM(t, noNIC)
	for _, test := range []struct {
		ends bool
		want Status
		says string
	}{
		{true, Status{State: Stopped}, "<nil>"},
		{false, Status{}, runningFile(vm) + " is locked: its QEMU runs in another pid namespace"},
	} {
		held, err := holdRunning(vm)
		if err != nil {
			t.Fatal(err)
		}
		if test.ends {
			time.AfterFunc(lastMoment/10, func() { _ = held.Close() })
		}
		got, err := Ask(t.Context(), vm)
		if got != test.want || fmt.Sprint(err) != test.says {
			t.Errorf("it ends, %v: %+v, %v", test.ends, got, err)
		}
		_ = held.Close()
	}
}

// A crowd of commands at work on one VM saw this one.
func TestAStartThatBeginsWhileAnEndIsWaitedForIsAStart(t *testing.T) {
	vm := testVM(t, noNIC)
	held, err := holdRunning(vm)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	begun := make(chan *Lock, 1)
	time.AfterFunc(lastMoment/10, func() {
		lock, err := tryLock(lockFile(vm))
		if err == nil {
			err = sign(lock.file, CommandUp)
		}
		if err != nil {
			t.Error(err)
		}
		begun <- lock
	})
	got, err := Ask(t.Context(), vm)
	if err != nil || got.State != Starting {
		t.Errorf("%+v, %v; want %s", got, err, Starting)
	}
	if lock := <-begun; lock != nil {
		_ = lock.Release()
	}
}

// Somebody moved a data directory of a VM that runs to where another's is looked for.
func TestALockThatAnotherVMsQEMUHolds(t *testing.T) {
	vm := testVM(t, noNIC)
	p := start(t, vm)
	other := vm
	other.Name, other.RunDir = "other", filepath.Join(filepath.Dir(vm.RunDir), "other")
	want := fmt.Sprintf("%s is locked by the QEMU of VM %s, pid %d, which runs with these files", runningFile(vm), vm.Name, p.PID)
	if _, err := Ask(t.Context(), other); !errors.Is(err, ErrRunning) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestARunDirectoryIsReadInItsFormAlone(t *testing.T) {
	for text, want := range map[string]string{
		"\"/run/user/1000/qlaunch/web\"\n": "/run/user/1000/qlaunch/web",
		"\"/a b\\\"/web\"\n":               "/a b\"/web",
		"":                                 "",
		"\n":                               "",
		"/run/web\n":                       "",
		"\"/run/web\"":                     "",
		"\"/run/web\"\n\n":                 "",
		"\"run/web\"\n":                    "",
		"\"/run/../web\"\n":                "",
		"\"/run/web/\"\n":                  "",
		"\"/run/other\"\n":                 "",
		"\"/run\\x00/web\"\n":              "",
		"\"/" + strings.Repeat("a", longestRunning) + "/web\"": "",
	} {
		if got := parseRunDir(text, "web"); got != want {
			t.Errorf("%.60q: %q, want %q", text, got, want)
		}
	}
}

func TestWhatAQEMUIsIsReadFromItsCommandLine(t *testing.T) {
	const bridges = "[[nic]]\ntype = \"bridge\"\nbridge = \"br0\"\nmac = \"52:54:00:00:00:01\"\n[[nic]]\ntype = \"user\"\nmac = \"52:54:00:00:00:02\"\n" +
		"[[nic]]\ntype = \"bridge\"\nbridge = \"br1\"\nmac = \"52:54:00:00:00:03\"\n[qemu]\nargs = [\"-pidfile\", \"/elsewhere/other/pid\"]\n"
	vm := testVM(t, bridges)
	vm.StateDir = "/with,comma/guestvm"
	line := strings.Join(Args(vm, Files{Taps: []TapFDs{{Tap: 5}, {Tap: 6}}}), "\x00") + "\x00"
	q, ok := parseQEMU(1, line)
	if !ok || q.Name != "guestvm" || q.RunDir != vm.RunDir || q.log != ConsoleLog(vm) || !q.IsOf(vm) {
		t.Errorf("%v, %s in %s, log %s", ok, q.Name, q.RunDir, q.log)
	}
	if got := strings.Join(q.bridgedMACs(), " "); got != "52:54:00:00:00:01 52:54:00:00:00:03" {
		t.Errorf("on bridges: %s", got)
	}
	if err := FreeMACs(vm, []QEMU{q}); err == nil || err.Error() != "mac 52:54:00:00:00:01 is that of a VM that runs: guestvm, QEMU pid 1" {
		t.Errorf("%v", err)
	}
	other := vm
	other.NICs = []vms.NIC{vm.NICs[1]}
	if err := FreeMACs(other, []QEMU{q}); err != nil {
		t.Errorf("an address that is on no bridge: %v", err)
	}
	// The same name in another home is another VM.
	other = testVM(t, noNIC)
	if q.IsOf(other) {
		t.Error("it is taken for another home's")
	}
	for _, line := range []string{"", "qemu\x00-pidfile", "qemu\x00-pidfile\x00", "qemu\x00-pidfile\x00run/web/pid\x00", "qemu\x00-pidfile\x00/run/web/other\x00",
		"qemu\x00-pidfile\x00/run/../web/pid\x00", "qemu\x00-pidfile\x00/run/-web/pid\x00", "qemu\x00-pidfile\x00/pid\x00"} {
		if q, ok := parseQEMU(1, line); ok {
			t.Errorf("%q: %+v", line, q)
		}
	}
}

func TestNothingIsRemovedThatAProcessHasOpen(t *testing.T) {
	vm := testVM(t, noNIC)
	disk, log := filepath.Join(vm.DataDir, "more", "disk9.img"), ConsoleLog(vm)
	for _, file := range []string{disk, log} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ redirect, want string }{
		{"<" + disk, disk}, {"3>>" + disk, disk}, {">>" + log, log}, {"<" + log, ""},
	} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", "exec 9>&1; exec "+test.redirect+"; echo >&9; read line <&8")
		held, letGo, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.ExtraFiles = make([]*os.File, 6)
		cmd.ExtraFiles[5] = held // 8
		said, err1 := cmd.StdoutPipe()
		if err := errors.Join(err1, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		if _, err := said.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		err = notOpen(vm)
		e, isOpen := errors.AsType[*OpenError](err)
		if got := isOpen && e.File == test.want && e.PID == cmd.Process.Pid && e.Program == "sh"; got != (test.want != "") || !got && err != nil {
			t.Errorf("%s: %v", test.redirect, err)
		}
		if isOpen {
			if err := Remove(vm); !errors.As(err, &e) {
				t.Errorf("%s: removed: %v", test.redirect, err)
			}
		}
		_ = errors.Join(letGo.Close(), held.Close(), cmd.Wait())
	}
	if err := Remove(vm); err != nil {
		t.Error(err)
	}
}

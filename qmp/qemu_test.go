package qmp

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/digitalocean/go-qemu/qmp/raw"
)

// qemu starts a real QEMU without a machine. It gets its socket as qlaunch hands it over: as a listening file, so that a client can
// connect before QEMU has come that far.
func qemu(t *testing.T) (path string, process *exec.Cmd) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "qmp.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	process = exec.Command("qemu-system-x86_64", "-machine", "none", "-nodefaults", "-no-user-config", "-display", "none",
		"-name", "guestvm", "-chardev", "socket,id=qmp,fd=3,server=on,wait=off", "-mon", "chardev=qmp,mode=control")
	process.ExtraFiles = append(process.ExtraFiles, file)
	var stderr strings.Builder
	process.Stderr = &stderr
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Process.Kill()
		process.Wait() // an error if the test has waited
		if stderr.Len() > 0 {
			t.Logf("QEMU said: %s", &stderr)
		}
	})
	return path, process
}

// freeze stops a process and waits until it is stopped.
func freeze(t *testing.T, process *exec.Cmd) {
	t.Helper()
	if err := process.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	for !status.Stopped() {
		_, err := syscall.Wait4(process.Process.Pid, &status, syscall.WUNTRACED, nil)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			t.Fatal(err)
		}
	}
}

func dialQEMU(t *testing.T, path string) *Monitor {
	t.Helper()
	m, err := Dial(generous(t), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestQEMUAnswersEveryCommand(t *testing.T) {
	path, _ := qemu(t)
	m, ctx := dialQEMU(t, path), generous(t)
	check := func(what string, got, want any, err error) {
		t.Helper()
		if got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", what, got, err, want)
		}
	}
	status, err := m.Status(ctx)
	check("status", status, Status{State: "running", Running: true}, err)
	check("stop", nil, nil, m.Stop(ctx))
	status, err = m.Status(ctx)
	check("status when stopped", status, Status{State: "paused", Running: false}, err)
	check("cont", nil, nil, m.Cont(ctx))
	check("reset", nil, nil, m.Reset(ctx))
	check("powerdown", nil, nil, m.Powerdown(ctx))
	enabled, _, err := m.KVM(ctx)
	check("kvm", enabled, false, err)
	name, err := m.Name(ctx)
	check("name", name, "guestvm", err)
	uuid, err := m.UUID(ctx)
	check("uuid", uuid, "00000000-0000-0000-0000-000000000000", err)
	version, err := m.Version(ctx)
	out, runErr := exec.Command("qemu-system-x86_64", "--version").Output()
	if runErr != nil {
		t.Fatal(runErr)
	}
	check("version", strings.Contains(string(out), "version "+version), true, err)
}

func TestQEMURefusesWithItsOwnWords(t *testing.T) {
	path, _ := qemu(t)
	m := dialQEMU(t, path)
	_, err := m.Run([]byte(`{"execute": "no-such-command"}`))
	wantError(t, err, path, "qmp SOCKET: no-such-command: CommandNotFound: The command no-such-command has not been found")
	_, err = m.Run([]byte(`{"execute": "stop", "arguments": {"x": 1}}`))
	wantError(t, err, path, "qmp SOCKET: stop: GenericError: Parameter 'x' is unexpected")
	if _, err := m.Status(generous(t)); err != nil {
		t.Error(err)
	}
}

func TestQEMUSendsItsWholeSchema(t *testing.T) {
	path, _ := qemu(t)
	out, err := dialQEMU(t, path).Run([]byte(`{"execute": "query-qmp-schema"}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 100_000 || !json.Valid(out) {
		t.Errorf("a schema of %d bytes, valid: %v", len(out), json.Valid(out))
	}
}

func TestQEMUTakes400CommandsAtOnce(t *testing.T) {
	path, _ := qemu(t)
	m, ctx := dialQEMU(t, path), generous(t)
	var wg sync.WaitGroup
	for i := range 400 {
		wg.Go(func() {
			var err error
			switch i % 4 {
			case 0:
				_, err = m.Status(ctx)
			case 1:
				_, err = m.Version(ctx)
			case 2:
				_, err = raw.NewMonitor(m.With(ctx)).QueryCommands()
			case 3:
				err = m.Powerdown(ctx) // each with an event
			}
			if err != nil {
				t.Errorf("command %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

func TestQEMUServesTheSecondClientAfterTheFirst(t *testing.T) {
	path, _ := qemu(t)
	first := dialQEMU(t, path)
	_, err := Dial(within(t, time.Second), path)
	wantError(t, err, path, "qmp SOCKET: connect: no greeting: "+
		"another client holds the monitor, or QEMU is stopped: context deadline exceeded", ErrNoGreeting)
	if _, err := first.Status(generous(t)); err != nil {
		t.Errorf("the first client: %v", err)
	}
	first.Close()
	if _, err := dialQEMU(t, path).Status(generous(t)); err != nil {
		t.Errorf("the next client: %v", err)
	}
}

func TestAStoppedQEMUHoldsNobodyUp(t *testing.T) {
	path, process := qemu(t)
	m := dialQEMU(t, path)
	freeze(t, process)
	_, err := m.Status(within(t, time.Second))
	wantError(t, err, path, "qmp SOCKET: query-status: no reply: context deadline exceeded", context.DeadlineExceeded)
	process.Process.Signal(syscall.SIGCONT)
	if uuid, err := m.UUID(generous(t)); uuid != "00000000-0000-0000-0000-000000000000" || err != nil {
		t.Errorf("when it goes on: %q, %v", uuid, err)
	}
	m.Close()
	freeze(t, process)
	_, err = Dial(within(t, time.Second), path)
	wantError(t, err, path, "qmp SOCKET: connect: no greeting: "+
		"another client holds the monitor, or QEMU is stopped: context deadline exceeded", ErrNoGreeting)
}

func TestAKilledQEMUEndsItsCommands(t *testing.T) {
	path, process := qemu(t)
	m := dialQEMU(t, path)
	freeze(t, process)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := m.Status(generous(t)); !errors.Is(err, ErrEnded) {
				t.Errorf("status: %v", err)
			}
		})
	}
	wg.Go(func() {
		if reason, err := m.WaitShutdown(generous(t)); !errors.Is(err, ErrEnded) {
			t.Errorf("WaitShutdown: %q, %v", reason, err)
		}
	})
	process.Process.Kill()
	wg.Wait()
	if err := m.Connect(); !errors.Is(err, ErrEnded) {
		t.Errorf("connect: %v", err)
	}
	process.Wait()
	_, err := Dial(generous(t), path)
	wantError(t, err, path, "qmp SOCKET: connect: connection refused", syscall.ECONNREFUSED)
}

func TestQuitEndsQEMUAndSaysWhy(t *testing.T) {
	path, process := qemu(t)
	m := dialQEMU(t, path)
	if err := m.Quit(generous(t)); err != nil {
		t.Fatal(err)
	}
	reason, err := m.WaitShutdown(generous(t))
	if reason != "host-qmp-quit" || err != nil {
		t.Errorf("WaitShutdown: %q, %v", reason, err)
	}
	if err := process.Wait(); err != nil {
		t.Errorf("QEMU's exit: %v", err)
	}
}

func TestATermSignalIsAShutdownToo(t *testing.T) {
	path, process := qemu(t)
	m := dialQEMU(t, path)
	process.Process.Signal(syscall.SIGTERM)
	reason, err := m.WaitShutdown(generous(t))
	if reason != "host-signal" || err != nil {
		t.Errorf("WaitShutdown: %q, %v", reason, err)
	}
}

package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

// testVM is a VM with directories of its own, under TCG, whose definition is the text. Its QEMU is ended with the test.
func testVM(t *testing.T, text string) vms.VM {
	t.Helper()
	dir := t.TempDir()
	env := vms.Env{Name: "guestvm", File: dir + "/guestvm.toml", Home: dir, DataDir: dir + "/data/guestvm",
		StateDir: dir + "/state/guestvm", RunDir: dir + "/run/guestvm", Arch: "x86_64", MachineID: "m", UID: os.Getuid()}
	vm, err := vms.Parse([]byte("accel = \"tcg\"\nmemory = \"64MiB\"\ncpus = 1\n"+text), env)
	if err != nil {
		t.Fatal(err)
	}
	if err := MakeDirs(vm); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p, err := Find(vm); err == nil {
			_ = p.Signal(unix.SIGKILL)
			_ = p.Wait(context.Background())
			p.Close()
		}
	})
	return vm
}

func quiet([]string) {}

func start(t *testing.T, vm vms.VM) *Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := Check(vm); err != nil {
		t.Fatal(err)
	}
	if err := MakeDisks(ctx, vm, quiet); err != nil {
		t.Fatal(err)
	}
	p, err := Start(ctx, Resolved{VM: vm}, nil, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

const noNIC = "[[nic]]\ntype = \"none\"\n"

// full is a definition with as many disks and NICs as there can be, and with every bus and device that takes a slot.
var full = strings.Repeat("[[disk]]\nsize = \"1MiB\"\n", 13) +
	"[[disk]]\nbus = \"scsi\"\nsize = \"1MiB\"\n[[disk]]\nbus = \"sata\"\nsize = \"1MiB\"\n[[disk]]\nbus = \"nvme\"\nsize = \"1MiB\"\n" +
	strings.Repeat("[[nic]]\ntype = \"user\"\n", 6) + "[[nic]]\ntype = \"user\"\nmodel = \"e1000\"\n[[nic]]\ntype = \"user\"\nmodel = \"rtl8139\"\n" +
	"[display]\ntype = \"vnc\"\n"

// beside is what a user has QEMU make beside our devices: of both forms, and what comes before all devices.
const beside = "[qemu]\nargs = [\"-device\", \"virtio-balloon-pci\", \"-device\", '{\"driver\":\"i6300esb\"}', \"-vga\", \"std\"]\n"

func TestARealQEMUTakesEveryKindOfLine(t *testing.T) {
	for name, text := range map[string]string{
		"q35":               noNIC,
		"pc":                "machine = \"pc\"\n" + noNIC,
		"microvm":           "machine = \"microvm\"\n[[disk]]\nformat = \"raw\"\nsize = \"1MiB\"\n[[nic]]\ntype = \"user\"\n",
		"vnc":               "[display]\ntype = \"vnc\"\n" + noNIC,
		"spice":             "[display]\ntype = \"spice\"\n" + noNIC,
		"displayed-microvm": "machine = \"microvm\"\n[display]\ntype = \"vnc\"\n" + noNIC,
		"uefi":              "firmware = \"uefi\"\n" + noNIC,
		"disks": "[[disk]]\nsize = \"1MiB\"\n[[disk]]\nformat = \"raw\"\nsize = \"1MiB\"\n[[disk]]\nbus = \"scsi\"\nsize = \"1MiB\"\n[[disk]]\nbus = \"scsi\"\nreadonly = true\nsize = \"1MiB\"\n" +
			"[[disk]]\nbus = \"nvme\"\nsize = \"1MiB\"\n[[disk]]\nbus = \"sata\"\nsize = \"1MiB\"\n[[disk]]\nbus = \"sata\"\nsize = \"1MiB\"\n" + noNIC,
		"nics": "[[nic]]\ntype = \"user\"\n[[nic]]\ntype = \"user\"\nmodel = \"e1000e\"\n[[nic]]\ntype = \"user\"\nmodel = \"rtl8139\"\n",
		// As much of everything as a definition takes, and what [qemu] args add without an address.
		"full":       full + beside,
		"full-pc":    "machine = \"pc\"\n" + full,
		"args-on-pc": "machine = \"pc\"\n" + noNIC + beside,
		"odd-paths":  "[[disk]]\npath = \"a,b=c/it's \\\"ü\\\" <&> $(id).qcow2\"\nsize = \"1MiB\"\n[[disk]]\npath = \"json:{}/nbd:x\"\nformat = \"raw\"\nsize = \"1MiB\"\n" + noNIC,
	} {
		t.Run(name, func(t *testing.T) {
			vm := testVM(t, text)
			p := start(t, vm)
			status, err := Ask(t.Context(), vm)
			if err != nil || status.State != Running || status.PID != p.PID {
				t.Fatalf("%+v, %v; want running, pid %d", status, err, p.PID)
			}
			if method, err := Stop(t.Context(), vm, 0); err != nil || method != Quit {
				t.Fatalf("stopped by %q, %v; want %q", method, err, Quit)
			}
		})
	}
}

func TestQEMURunsAloneInASandboxAndASessionOfItsOwn(t *testing.T) {
	vm := testVM(t, noNIC)
	t.Setenv("QLAUNCH_TEST_SECRET", "canary")
	p := start(t, vm)
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.PID), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nNoNewPrivs:\t1\n", "\nSeccomp:\t2\n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
	if sid, err := unix.Getsid(p.PID); err != nil || sid != p.PID {
		t.Errorf("session %d, %v; want its own, %d", sid, err, p.PID)
	}
	environ, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.PID), "environ"))
	if err != nil || strings.Contains(string(environ), "canary") {
		t.Errorf("environment %q, %v", environ, err)
	}
}

func TestAQEMUThatDiesAtTheStartLeavesItsLastWords(t *testing.T) {
	vm := testVM(t, noNIC+"[qemu]\nargs = [\"-device\", \"nonsense\"]\n")
	_, err := Start(t.Context(), Resolved{VM: vm}, nil, quiet)
	const want = "QEMU ended: exit status 1: qemu-system-x86_64: -device nonsense: 'nonsense' is not a valid device model name"
	if died, ok := errors.AsType[*DiedError](err); !ok || died.Error() != want {
		t.Fatalf("got  %v\nwant %s", err, want)
	}
	if _, err := Find(vm); !errors.Is(err, ErrNotRunning) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestAStartThatIsBrokenOffLeavesNothing(t *testing.T) {
	vm := testVM(t, noNIC)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Start(ctx, Resolved{VM: vm}, nil, func([]string) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want context.Canceled", err)
	}
	if IsRunning(vm) {
		t.Error("QEMU runs")
	}
}

func TestASecondQEMUOfOneVMIsRefusedByTheLock(t *testing.T) {
	vm := testVM(t, noNIC)
	first := start(t, vm)
	_, err := Start(t.Context(), Resolved{VM: vm}, nil, quiet)
	if !errors.Is(err, ErrRunning) {
		t.Fatalf("got  %v\nwant %v", err, ErrRunning)
	}
	// The file of that lock was removed by somebody: QEMU's own lock on its pid file still holds.
	if err := os.Remove(runningFile(vm)); err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), Resolved{VM: vm}, nil, quiet)
	const want = "cannot create PID file: Cannot lock pid file: Resource temporarily unavailable"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("got  %v\nwant … %s", err, want)
	}
	p, err := Find(vm)
	if err != nil || p.PID != first.PID {
		t.Fatalf("%v, %v; want pid %d", p, err, first.PID)
	}
	p.Close()
}

func TestCheckNamesWhatCannotBeUsed(t *testing.T) {
	vm := testVM(t, "")
	dir := filepath.Dir(vm.File)
	if err := errors.Join(os.Chmod(dir, 0o700), unix.Mkfifo(dir+"/fifo", 0o600)); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"[kernel]\nimage = \"none\"":            "kernel image " + dir + "/none: cannot be used: no such file or directory",
		"[kernel]\nimage = \"/\"":               "kernel image /: cannot be used: a directory, not a file",
		"[kernel]\nimage = \"fifo\"":            "kernel image " + dir + "/fifo: cannot be used: a pipe, not a file",
		"[qemu]\nbinary = \"qemu-system-none\"": "qemu-system-none: not installed",
		"[qemu]\nbinary = \"/nosuch/qemu\"":     "/nosuch/qemu: cannot be used: no such file or directory",
		"[qemu]\nbinary = \"/etc/passwd\"":      "/etc/passwd: cannot be used: permission denied",
		"[[disk]]\npath = \"none\"":             "disk " + dir + "/none: no such file, and no size to create it with",
		"[[disk]]\npath = \"fifo\"":             "disk " + dir + "/fifo: a pipe is neither a regular file nor a block device",
		"[[disk]]\npath = \"/\"":                "disk /: a directory is neither a regular file nor a block device",
	} {
		vm, err := vms.Parse([]byte(text), vms.Env{Name: "guestvm", File: vm.File, DataDir: dir, StateDir: dir, RunDir: dir, Arch: "x86_64"})
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(vm); err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

func TestTheLogsOfTheStartBeforeAreKept(t *testing.T) {
	vm := testVM(t, noNIC)
	for _, words := range []string{"first", "second"} {
		f, err := openLog(MessageLog(vm))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.WriteString(words)
		_ = f.Close()
	}
	for path, want := range map[string]string{MessageLog(vm): "second", MessageLog(vm) + ".1": "first"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
}

func TestTheSocketWorksFromTheMomentQEMUStarts(t *testing.T) {
	vm := testVM(t, noNIC)
	start(t, vm)
	m, err := qmp.Dial(t.Context(), QMPSocket(vm))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if name, err := m.Name(t.Context()); err != nil || name != "guestvm" {
		t.Errorf("name %q, %v", name, err)
	}
	info, err := os.Stat(QMPSocket(vm))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestALongRunDirectoryIsNoObstacle(t *testing.T) {
	vm := testVM(t, noNIC)
	vm.RunDir = filepath.Join(filepath.Dir(vm.RunDir), strings.Repeat("long", 40), "guestvm")
	if err := MakeDirs(vm); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = Stop(context.Background(), vm, 0) })
	start(t, vm)
	if status, err := Ask(t.Context(), vm); err != nil || status.State != Running {
		t.Errorf("%+v, %v; want running", status, err)
	}
}

func TestADiskThatAnotherVMHasOpenIsNamedAsSuch(t *testing.T) {
	disk := "[[disk]]\nsize = \"1MiB\"\npath = \"" + t.TempDir() + "/disk.qcow2\"\n" + noNIC
	one := testVM(t, disk)
	p := start(t, one)
	_, err := Start(t.Context(), Resolved{VM: testVM(t, disk)}, nil, quiet)
	want := fmt.Sprintf("disk %s: another QEMU has a disk open: guestvm, pid %d", one.Disks[0].Path, p.PID)
	if !errors.Is(err, ErrDiskInUse) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestWhatQEMUSaysOfItsEndIsACause(t *testing.T) {
	for words, want := range map[string]error{
		"qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69":                        ErrArchCapabilities,
		"qemu-system-x86_64: error: failed to set MSR 0x345 to 0x0":                         nil,
		`qemu-system-x86_64: -device virtio-blk-pci: Failed to get "write" lock`:            ErrDiskInUse,
		`qemu-system-x86_64: -blockdev: Failed to get "consistent read" lock`:               ErrDiskInUse,
		`qemu-system-x86_64: -blockdev: Failed to get shared "resize" lock`:                 ErrDiskInUse,
		"qemu-system-x86_64: -spice: There is no option group 'spice'":                      ErrNoSpice,
		"qemu-system-x86_64: -device nonsense: 'nonsense' is not a valid device model name": nil,
	} {
		died := &DiedError{Words: words}
		for _, cause := range []error{ErrArchCapabilities, ErrDiskInUse, ErrNoSpice} {
			if got := errors.Is(died, cause); got != errors.Is(want, cause) {
				t.Errorf("%s: is %q: %v", words, cause, got)
			}
		}
		if !errors.Is(died, ErrEnded) {
			t.Errorf("%s: QEMU has not ended", words)
		}
	}
}

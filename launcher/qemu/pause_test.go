package qemu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

func TestAPauseAndAResumeCanBeDoneTwice(t *testing.T) {
	vm := testVM(t, noNIC)
	start(t, vm)
	for _, step := range []struct {
		do     func(context.Context, *qmp.Monitor) error
		state  State
		reason string
	}{
		{Resume, Running, ""},
		{Pause, Paused, "by the user"},
		{Pause, Paused, "by the user"},
		{Reset, Paused, "before its first instruction"},
		{Pause, Paused, "before its first instruction"},
		{Resume, Running, ""},
		{Resume, Running, ""},
		{Reset, Running, ""},
	} {
		if err := onMonitor(t, vm, step.do); err != nil {
			t.Error(err)
		}
		if status, err := Ask(t.Context(), vm); err != nil || status.State != step.state || status.Reason != step.reason {
			t.Errorf("%+v, %v; want %s (%s)", status, err, step.state, step.reason)
		}
	}
}

func TestAVMThatWaitsToBeLetGoSaysSo(t *testing.T) {
	vm := testVM(t, noNIC+"[qemu]\nargs = [\"-S\"]\n")
	start(t, vm)
	awaitReason(t, vm, "before its first instruction")
}

func TestAGuestThatPanickedRunsAgainAfterAReset(t *testing.T) {
	vm := testVM(t, "[[disk]]\nformat = \"raw\"\n"+noNIC+"[qemu]\nargs = [\"-device\", \"pvpanic\", \"-action\", \"panic=pause\"]\n")
	bootSector(t, vm.Disks[0].Path,
		0xba, 0x05, 0x05, // mov dx, 0x505
		0xb0, 0x01, // mov al, 1: the guest has panicked (docs/specs/pvpanic.rst)
		0xee,       // out dx, al
		0xeb, 0xfe) // jmp to itself
	start(t, vm)
	awaitReason(t, vm, "the guest panicked")
	if err := onMonitor(t, vm, Reset); err != nil {
		t.Fatal(err)
	}
	awaitReason(t, vm, "the guest panicked") // it booted, and did it again
}

// QEMU runs in a mount namespace in which the disk lies on a file system of 64 KiB.
func TestAVMWhoseDiskIsFullSaysSoAndIsPausedAgain(t *testing.T) {
	vm := testVM(t, "[[disk]]\nformat = \"raw\"\n"+noNIC)
	disk := vm.Disks[0].Path
	bootSector(t, disk,
		0x31, 0xc0, // xor ax, ax
		0x8e, 0xc0, // mov es, ax
		0xbb, 0x00, 0x7c, // mov bx, 0x7c00
		0xb9, 0x02, 0x00, // mov cx, 2: cylinder 0, sector 2
		0xba, 0x80, 0x00, // mov dx, 0x80: head 0 of the first disk
		0xb8, 0x01, 0x03, // again: mov ax, 0x0301: write a sector
		0xcd, 0x13, // int 0x13
		0xfe, 0xc1, // inc cl
		0x80, 0xf9, 0x40, // cmp cl, 64
		0x72, 0xf4, // jb again
		0xb1, 0x01, // mov cl, 1
		0xfe, 0xc6, // inc dh
		0xeb, 0xee) // jmp again
	vm.QEMU.Binary = filepath.Join(filepath.Dir(vm.File), "qemu")
	script := "#!/bin/sh\nexec unshare -Urm sh -c 'mount -t tmpfs -o size=64k tmpfs " + filepath.Dir(disk) + " && " +
		"head -c 512 <&9 >" + disk + " && truncate -s 1M " + disk + " && exec qemu-system-x86_64 \"$@\"' qemu \"$@\" 9<" + disk + "\n"
	if err := os.WriteFile(vm.QEMU.Binary, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	start(t, vm)
	awaitReason(t, vm, "disk full: "+disk)
	err := onMonitor(t, vm, Resume)
	if want := "paused again: disk full: " + disk; !errors.Is(err, ErrPausedAgain) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if err := onMonitor(t, vm, Pause); err != nil {
		t.Error(err)
	}
}

func TestEachRunStateHasWordsAndAnUnknownOneItsOwn(t *testing.T) {
	for state, want := range map[string]string{"suspended": "the guest sleeps", "watchdog": "the guest's watchdog", "colo": "colo"} {
		if got := pauseReason(t.Context(), nil, state); got != want {
			t.Errorf("%s: %q, want %q", state, got, want)
		}
	}
}

func onMonitor(t *testing.T, vm vms.VM, do func(context.Context, *qmp.Monitor) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m, err := qmp.Dial(ctx, QMPSocket(vm))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	return do(ctx, m)
}

// awaitReason waits until a VM is paused, and holds the reason.
func awaitReason(t *testing.T, vm vms.VM, want string) {
	t.Helper()
	err := onMonitor(t, vm, func(ctx context.Context, m *qmp.Monitor) error {
		status, err := m.Status(ctx)
		if err != nil || !status.Running {
			return err
		}
		return m.WaitEvent(ctx, "STOP")
	})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := Ask(t.Context(), vm); err != nil || status.State != Paused || status.Reason != want {
		t.Errorf("%+v, %v; want paused (%s)", status, err, want)
	}
}

// bootSector makes a disk of 1 MiB whose first sector has a program for the BIOS.
func bootSector(t *testing.T, path string, code ...byte) {
	t.Helper()
	sector := append(code, make([]byte, 510-len(code))...)
	disk := append(append(sector, 0x55, 0xaa), make([]byte, 1<<20-512)...)
	if err := os.WriteFile(path, disk, 0o600); err != nil {
		t.Fatal(err)
	}
}

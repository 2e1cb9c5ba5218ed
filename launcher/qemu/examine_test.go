package qemu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qlaunch/qlaunch/vms"
)

// findings are what an examination found, a line each.
func findings(t *testing.T, vm vms.VM, root string) string {
	t.Helper()
	var b strings.Builder
	for _, f := range Examine(t.Context(), vm, root, quiet) {
		if f.ID == "linger" {
			continue // depends on who runs the test
		}
		level := "ok"
		switch {
		case f.Err != nil:
			level = "fail"
		case f.Warning != nil:
			level = "warn"
		case f.Skipped:
			level = "skipped"
		}
		fmt.Fprintf(&b, "%s %s: %s\n", level, f.ID, f.Evidence)
	}
	return b.String()
}

// script makes a program.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "qemu")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func makeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestTheExaminationTellsOfEachThingAVMNeeds(t *testing.T) {
	root := t.TempDir()
	qemu := script(t, "echo 'QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)'; echo Copyright")
	vm := testVM(t, "[kernel]\nimage = \"k\"\n[[disk]]\nsize = \"1MiB\"\n[qemu]\nbinary = \""+qemu+"\"\n")
	dir := filepath.Dir(vm.File)
	makeFile(t, dir+"/k", "")
	makeFile(t, root+"/dev/vhost-net", "")
	makeFile(t, root+"/proc/meminfo", "MemAvailable: 4194304 kB\nSwapFree: 0 kB\n")
	space := examineSpace(vm)
	want := fmt.Sprintf(`skipped kvm: accel = "tcg"
ok qemu: %s
ok qemu-version: QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)
ok directories: %s, its state and its run directory can be written
ok kernel: %s/k
ok qemu-img: %s
ok disk0: %s is not there: a start makes it, with 1MiB
ok memory: the host has 4GiB available and 0B of swap
ok disk-space: %s
ok vhost-net: /dev/vhost-net opens
`, qemu, vm.DataDir, dir, installed(imageTool), vm.Disks[0].Path, space.Evidence)
	if diff := cmp.Diff(want, findings(t, vm, root)); diff != "" {
		t.Errorf("- want, + got:\n%s", diff)
	}
	if !strings.HasSuffix(space.Evidence, " free, the disks may grow by 1MiB") {
		t.Error(space.Evidence)
	}
}

func TestTheExaminationTellsWhatIsMissing(t *testing.T) {
	root := t.TempDir()
	vm := testVM(t, "[kernel]\nimage = \"none\"\n[[disk]]\nsize = \"2PiB\"\n[qemu]\nbinary = \"qemu-system-none\"\n")
	space := examineSpace(vm)
	want := fmt.Sprintf(`skipped kvm: accel = "tcg"
fail qemu: qemu-system-none: not installed
skipped qemu-version: no QEMU
ok directories: %s, its state and its run directory can be written
fail kernel: kernel image %s/none: cannot be used: no such file or directory
ok qemu-img: %s
ok disk0: %s is not there: a start makes it, with 2PiB
skipped memory: no such file or directory
warn disk-space: %s
warn vhost-net: /dev/vhost-net: no such file or directory: QEMU itself moves the network's packets, which is slower
`, vm.DataDir, filepath.Dir(vm.File), installed(imageTool), vm.Disks[0].Path, space.Evidence)
	if diff := cmp.Diff(want, findings(t, vm, root)); diff != "" {
		t.Errorf("- want, + got:\n%s", diff)
	}
	if !strings.HasSuffix(space.Evidence, " free, the disks may grow by 2PiB: less free space than the disks may still need") || !errors.Is(space.Warning, ErrSpace) {
		t.Error(space.Evidence)
	}
}

func TestAQEMUThatIsTooOldIsNamed(t *testing.T) {
	tests := []struct{ says, want string }{
		{"echo QEMU emulator version 7.2.0", "ok: QEMU emulator version 7.2.0"},
		{"echo QEMU emulator version 10.0.2", "ok: QEMU emulator version 10.0.2"},
		{"echo QEMU emulator version 7.1.0", "fail: BINARY: QEMU 7.1: must be 7.2 or later"},
		{"echo QEMU emulator version 5.2.0", "fail: BINARY: QEMU 5.2: must be 7.2 or later"},
		{"echo my own", `warn: BINARY --version: "my own": no release that is known`},
		{"yes", "warn: BINARY --version: \"y\": no release that is known"},
		{"exit 3", "fail: BINARY --version: exit status 3"},
	}
	for _, tt := range tests {
		says := tt.says
		if says == "yes" {
			says = "yes | head -c 1000000"
		}
		vm := testVM(t, "[qemu]\nbinary = \""+script(t, says)+"\"\n")
		got := ""
		for line := range strings.Lines(findings(t, vm, t.TempDir())) {
			if level, text, ok := strings.Cut(line, " qemu-version"); ok {
				got = strings.ReplaceAll(level+strings.TrimSpace(text), vm.QEMU.Binary, "BINARY")
			}
		}
		if got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.says, got, tt.want)
		}
	}
}

func TestADiskGrowsByWhatItHasNotYet(t *testing.T) {
	dir := t.TempDir()
	raw := dir + "/raw"
	makeFile(t, raw, strings.Repeat("x", 1<<20))
	if err := os.Truncate(raw, 8<<20); err != nil {
		t.Fatal(err)
	}
	header := make([]byte, 80)
	copy(header, "QFI\xfb")
	binary.BigEndian.PutUint64(header[24:], 1<<30)
	makeFile(t, dir+"/qcow2", string(header))
	binary.BigEndian.PutUint64(header[24:], 1<<63)
	makeFile(t, dir+"/hostile", string(header))
	tests := []struct {
		disk vms.Disk
		most uint64
	}{
		{vms.Disk{Path: dir + "/absent", Size: 5 << 20}, 5 << 20},
		{vms.Disk{Path: raw, Format: vms.Raw}, 7 << 20},
		{vms.Disk{Path: raw, Format: vms.Raw, ReadOnly: true}, 0},
		{vms.Disk{Path: dir + "/qcow2", Format: vms.QCOW2}, 1 << 30},
		{vms.Disk{Path: dir + "/hostile", Format: vms.QCOW2}, 1 << 56},
		{vms.Disk{Path: "/dev/null", Format: vms.Raw}, 0},
	}
	for _, tt := range tests {
		const block = 64 << 10 // what is on the disk is counted in blocks of the file system's
		if got := growth(tt.disk); got > tt.most || got+block < tt.most {
			t.Errorf("%s: %d, want %d", tt.disk.Path, got, tt.most)
		}
	}
}

func TestAUserWhoDoesNotLingerIsWarned(t *testing.T) {
	root := t.TempDir()
	const uid, runtime = 471100, "/run/user/471100/qlaunch" // nobody's
	if f := examineLinger(runtime, root, uid); !f.Skipped || f.Evidence != "systemd does not run here" {
		t.Errorf("without systemd: %+v", f)
	}
	makeFile(t, root+"/run/systemd/system/x", "")
	if f := examineLinger(runtime, root, uid); !errors.Is(f.Warning, ErrNoLinger) || f.Evidence != "user 471100 does not linger: a logout ends the VMs that systemd runs" {
		t.Errorf("not lingering: %+v", f)
	}
	if f := examineLinger("/run/user/0/qlaunch", root, 0); !f.Skipped || f.Evidence != "VMs are not for root" {
		t.Errorf("root: %+v", f)
	}
	if f := examineLinger("/tmp/run", root, uid); !f.Skipped || f.Evidence != "/tmp/run is not in /run/user/471100" {
		t.Errorf("run directories elsewhere: %+v", f)
	}
	makeFile(t, root+"/var/lib/systemd/linger/471100", "")
	if f := examineLinger(runtime, root, uid); f.Warning != nil || f.Evidence != "/var/lib/systemd/linger/471100" {
		t.Errorf("lingering: %+v", f)
	}
}

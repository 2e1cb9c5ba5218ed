// Package kvm asks what KVM does on this machine, for tests that need it. There
// are machines without one, where a user may not open it, and where a nested KVM
// refuses a register of the CPU that QEMU shows by default, which ends QEMU 7.2
// at its start; on some of those only 16-bit code runs well. No test takes an
// answer for granted, and what it takes from one machine it can have on each in a
// world (package world, Options.HostCPU).
package kvm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
)

const program = "qemu-system-x86_64"

// deadline is for an answer of QEMU's, which takes it half a second.
const deadline = 20 * time.Second

// Node says whether there is a /dev/kvm.
func Node() bool {
	_, err := os.Stat("/dev/kvm")
	return err == nil
}

// Opens is nil where this user may open /dev/kvm.
func Opens() error { return qemu.CheckKVM() }

// HostCPUStarts is nil where QEMU starts under KVM with the CPU of a definition
// that names none; otherwise it has QEMU's words.
func HostCPUStarts(ctx context.Context) error {
	if err := Opens(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	cmd := command(ctx, "host", "-qmp", "stdio")
	cmd.Stdin = strings.NewReader(`{"execute": "qmp_capabilities"} {"execute": "quit"}`)
	if words, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, words)
	}
	return nil
}

// Runs is nil where a guest of 16-bit code runs under KVM, with a CPU that no
// known KVM refuses.
func Runs(ctx context.Context) error {
	if err := Opens(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "qlaunch-kvm")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	const text = "it runs"
	disk := filepath.Join(dir, "boot.raw")
	if err := os.WriteFile(disk, BootSector(text), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	return writes(command(ctx, "max,-arch-capabilities", "-serial", "stdio", "-drive", "format=raw,if=virtio,file="+disk), text)
}

// writes is nil when the command writes the text; then, or at its end, it is over with it.
func writes(cmd *exec.Cmd, text string) error {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var words strings.Builder
	cmd.Stderr = &words
	if err := cmd.Start(); err != nil {
		return err
	}
	found := false
	for lines := bufio.NewScanner(out); !found && lines.Scan(); {
		found = strings.Contains(lines.Text(), text)
	}
	_ = cmd.Process.Kill() // an error means that it has ended
	if err := cmd.Wait(); !found {
		return errors.Join(err, errors.New(words.String()))
	}
	return nil
}

// command is QEMU under KVM with a CPU.
func command(ctx context.Context, cpu string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, program, append([]string{
		"-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35", "-m", "64M", "-accel", "kvm", "-cpu", cpu,
	}, args...)...)
}

// BootSector is the image of a disk whose boot sector writes the text, 64 bytes at
// most, to the first serial port and halts: 16-bit code, the least that is a guest.
func BootSector(text string) []byte {
	code := []byte{0xfa, 0xba, 0xf8, 0x03} // cli; mov dx, 0x3f8
	for _, c := range []byte(text + "\r\n") {
		code = append(code, 0xb0, c, 0xee) // mov al, c; out dx, al
	}
	code = append(code, 0xf4, 0xeb, 0xfd) // hlt; jmp to it
	disk := make([]byte, 1<<20)           // SeaBIOS does not boot from a disk of one sector
	copy(disk, code)
	disk[510], disk[511] = 0x55, 0xaa // by which a BIOS knows it
	return disk
}

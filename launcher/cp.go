package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// CopyRequest is a request to copy files between this host and a VM.
type CopyRequest struct {
	Paths          []string // the last is the target; NAME:PATH is in a VM
	Recursive      bool     // a directory with everything in it
	Stdin          io.Reader
	Stdout, Stderr io.Writer // of scp
}

// Copy runs the user's scp, like [SSH] runs ssh, and returns its exit code. If the guest has no sftp server, it uses
// scp's older protocol. The error is a [*PathsError] if scp cannot copy between the paths, and a [*LoginError] if a
// path has a user name before the VM's name.
func Copy(ctx context.Context, e *Env, r CopyRequest) (code int, err error) {
	t, err := parseTransfer(r.Paths)
	if err != nil {
		return 0, &PathsError{err}
	}
	if err := checkNoLogin(t.vm); err != nil {
		return 0, fmt.Errorf("%s: %w", t.vm, err)
	}
	for _, program := range []string{"scp", "ssh"} {
		if _, err := exec.LookPath(program); err != nil {
			return 0, fmt.Errorf("%s is not installed", program)
		}
	}
	found, err := findRunning(e, t.vm)
	if errors.Is(err, qemu.ErrNotRunning) {
		return 0, fmt.Errorf("%s: %w", t.vm, err)
	}
	if err != nil {
		return 0, err
	}
	defer found.process.Close()
	options, err := sessionOptions(ctx, e, found.vm)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", t.vm, err)
	}
	if r.Recursive {
		t.flags = []string{"-r"}
	}
	code, err = copyBySCP(ctx, e, r, t, found.vm, options)
	if err == nil && code != 0 && found.process.Ended() {
		return sshFailed, nil // scp has several exit codes for a connection that ends
	}
	return code, err
}

// PathsError says that qlaunch cannot copy between the given paths.
type PathsError struct{ Err error }

func (e *PathsError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *PathsError) Unwrap() error { return e.Err }

// copyBySCP copies through the guest's sftp server or, if it has none, with scp's older protocol, for which the guest
// needs scp. It checks which of them the guest has only after a copy has failed.
func copyBySCP(ctx context.Context, e *Env, r CopyRequest, t transfer, vm vms.VM, options []sshOption) (int, error) {
	code, err := runSCP(ctx, e, r, t.argv(options, sshHost(vm)))
	if err != nil || code != sshFailed || hasSFTP(ctx, e, vm, options) {
		return code, err
	}
	e.notice("%s has no sftp server: by scp's older protocol then", t.vm)
	code, err = runSCP(ctx, e, r, t.olderArgv(options, sshHost(vm)))
	if err == nil && code != 0 && !succeeds(ctx, e, batchArgv(options, "--", sshHost(vm), "command -v scp")) {
		return 0, fmt.Errorf("%s: %w", t.vm, ErrNoCopyServer)
	}
	return code, err
}

// sshFailed is the exit code of ssh, and of scp after its connection ended.
const sshFailed = 255

// ErrNoCopyServer says that the guest has no program that serves files.
var ErrNoCopyServer = errors.New("the guest has no sftp server and no scp")

// runSCP runs scp and returns its exit code. Ctrl-C reaches both processes.
func runSCP(ctx context.Context, e *Env, r CopyRequest, argv []string) (int, error) {
	e.command(argv)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = r.Stdin, r.Stdout, r.Stderr, sshEnviron(e)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	err := cmd.Run()
	ended, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case ctx.Err() != nil:
		return 0, orInterrupted(context.Cause(ctx))
	case !ok:
		return 0, err
	}
	if status, isStatus := ended.Sys().(syscall.WaitStatus); isStatus && status.Signaled() {
		return 128 + int(status.Signal()), nil // as in a shell
	}
	return ended.ExitCode(), nil
}

// hasSFTP reports whether the guest's sshd runs an sftp server. Without one, sshd refuses, and dropbear has the
// user's shell run a program that does not exist. If ssh fails before that, nothing is known about the guest.
func hasSFTP(ctx context.Context, e *Env, vm vms.VM, options []sshOption) bool {
	argv := batchArgv(options, "-s", "--", sshHost(vm), "sftp")
	e.command(argv)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var said strings.Builder
	cmd.Stderr, cmd.Env = &said, sshEnviron(e)
	err := cmd.Run() // at the end of its input, an sftp server exits with 0
	ended, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return true
	}
	return ended.ExitCode() == sshFailed && !strings.Contains(said.String(), "subsystem request failed")
}

// succeeds runs a command without output, and reports whether it exits with 0.
func succeeds(ctx context.Context, e *Env, argv []string) bool {
	e.command(argv)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = sshEnviron(e)
	return cmd.Run() == nil
}

// batchArgv returns the command line of an ssh that does not prompt.
func batchArgv(options []sshOption, words ...string) []string {
	argv := []string{"ssh", "-o", "BatchMode=yes"}
	if words[0] == "-s" {
		options = withoutSessionType(options)
	}
	argv = append(argv, optionWords(options)...)
	return append(argv, words...)
}

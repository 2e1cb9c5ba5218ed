package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

type cpCmd struct {
	Paths     []string `arg:"" name:"path" help:"One file or more, and where they go: paths here, and NAME:PATH in a VM."`
	Recursive bool     `short:"r" help:"Copy a directory with all that is in it."`
}

func (cpCmd) Help() string {
	return "Copies files to a VM or from one: the last path is the target, the others are all on the other side. " +
		"Runs your own scp, as qlaunch ssh runs ssh; its exit code is passed through. To a guest without an sftp server it copies by scp's older protocol. " +
		"A path in a VM starts from its user's home directory. A name with a colon in it that is a file here is written with a slash before: ./a:b."
}

func (cpCmd) Example() string { return "qlaunch cp -r guestvm:/var/log ./logs" }

func (c *cpCmd) Run(ctx context.Context, s *session) error {
	err := c.run(ctx, s)
	if err == nil {
		return nil
	}
	return fmt.Errorf("cp: %w", err)
}

func (c *cpCmd) run(ctx context.Context, s *session) error {
	t, err := parseTransfer(c.Paths)
	if err != nil {
		return &usageError{err, "cp"}
	}
	if err := noLogin(t.vm); err != nil {
		return fmt.Errorf("%s: %w", t.vm, err)
	}
	for _, program := range []string{"scp", "ssh"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not installed", program)
		}
	}
	vm, process, err := s.alive(t.vm)
	if errors.Is(err, launcher.ErrNotRunning) {
		return fmt.Errorf("%s: %w", t.vm, err)
	}
	if err != nil {
		return err
	}
	defer process.Close()
	options, err := s.sessionOptions(ctx, vm)
	if err != nil {
		return fmt.Errorf("%s: %w", t.vm, err)
	}
	if c.Recursive {
		t.flags = []string{"-r"}
	}
	err = s.transfer(ctx, t, vm, options)
	if isA[exitError](err) && process.Ended() {
		return exitError(sshFailed) // scp has several codes for a connection that ends
	}
	return err
}

// transfer copies by scp: through the guest's sftp server or, where it has none, by scp's older protocol, for which the guest
// needs an scp of its own. Which of them it has is asked when a copy has failed.
func (s *session) transfer(ctx context.Context, t transfer, vm vms.VM, options []sshOption) error {
	code, err := s.runScp(ctx, t.argv(options, sshHost(vm)))
	if err != nil || code != sshFailed || s.hasSFTP(ctx, vm, options) {
		return errors.Join(err, passOn(code))
	}
	s.notice("%s has no sftp server: by scp's older protocol then", t.vm)
	code, err = s.runScp(ctx, t.olderArgv(options, sshHost(vm)))
	if err == nil && code != 0 && !s.succeeds(ctx, batchArgv(options, "--", sshHost(vm), "command -v scp")) {
		return fmt.Errorf("%s: %w", t.vm, errNoCopyServer)
	}
	return errors.Join(err, passOn(code))
}

// sshFailed is the exit code of ssh, and of an scp whose connection ended.
const sshFailed = 255

// errNoCopyServer says that nothing in the guest takes or gives files.
var errNoCopyServer = errors.New("the guest has no sftp server and no scp")

// passOn is the exit code of a program as this one's; 0 is no error.
func passOn(code int) error {
	if code == 0 {
		return nil
	}
	return exitError(code)
}

// runScp runs scp with this process's own standard files, and gives its exit code. A Ctrl-C reaches both.
func (s *session) runScp(ctx context.Context, argv []string) (int, error) {
	s.showCommand(argv)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = s.stdin, s.ownStdout, s.ownStderr, s.sshEnviron()
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
		return 128 + int(status.Signal()), nil // as a shell says it
	}
	return ended.ExitCode(), nil
}

// hasSFTP tells whether the guest's sshd runs an sftp server. One that has none refuses (sshd) or has the user's shell look
// for a program that is not there (dropbear); an ssh that does not come that far says nothing of the guest.
func (s *session) hasSFTP(ctx context.Context, vm vms.VM, options []sshOption) bool {
	argv := batchArgv(options, "-s", "--", sshHost(vm), "sftp")
	s.showCommand(argv)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var said strings.Builder
	cmd.Stderr, cmd.Env = &said, s.sshEnviron()
	err := cmd.Run() // at the end of its input, an sftp server ends well
	ended, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return true
	}
	return ended.ExitCode() == sshFailed && !strings.Contains(said.String(), "subsystem request failed")
}

// succeeds tells whether a command that prints for nobody ends well.
func (s *session) succeeds(ctx context.Context, argv []string) bool {
	s.showCommand(argv)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = s.sshEnviron()
	return cmd.Run() == nil
}

// batchArgv is an ssh that asks nobody anything.
func batchArgv(options []sshOption, words ...string) []string {
	argv := []string{"ssh", "-o", "BatchMode=yes"}
	if words[0] == "-s" {
		options = withoutSessionType(options)
	}
	argv = append(argv, optionWords(options)...)
	return append(argv, words...)
}

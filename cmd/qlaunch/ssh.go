package main

import (
	"context"
	"fmt"
	"syscall"

	"github.com/qlaunch/qlaunch/launcher"
)

type sshCmd struct {
	Name    string   `arg:"" vm:"" help:"A VM."`
	Command []string `arg:"" optional:"" passthrough:"" help:"What to run in the guest, after --. Without it, a shell."`
}

func (sshCmd) Help() string {
	return "Runs your own ssh with the VM's address, the definition's user, port and identity, and the VM's own file of known host keys; " +
		"what ~/.ssh/config says of that for all hosts does not count. " +
		"Waits up to 30 s for the guest's sshd. The remote command's exit code is passed through. A session ends when its VM ends, with 255."
}

func (sshCmd) Example() string { return "qlaunch ssh guestvm -- uname -a" }

func (c *sshCmd) Run(ctx context.Context, s *session) error {
	ssh, err := launcher.SSH(ctx, s.env, launcher.SSHRequest{Name: c.Name, Command: afterDashes(c.Command)})
	if err == nil {
		err = s.become(ssh)
	}
	return fmt.Errorf("ssh %s: %w", c.Name, err)
}

// become puts another program into this one's place, which leaves it the terminal, the signals and the exit code. It
// returns only when that fails.
func (s *session) become(p launcher.Program) error {
	s.Command(p.Argv)
	return fmt.Errorf("%s: %w", p.Path, syscall.Exec(p.Path, p.Argv, p.Environ))
}

// afterDashes is a command without the -- that sets it off.
func afterDashes(words []string) []string {
	if len(words) > 0 && words[0] == "--" {
		return words[1:]
	}
	return words
}

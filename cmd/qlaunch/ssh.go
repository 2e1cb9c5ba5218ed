package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"

	"github.com/qlaunch/qlaunch/launcher"
)

type sshCmd struct {
	TTY     bool     `name:"tty" short:"t" help:"Give the command a terminal, as ssh -t does."`
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
	return fmt.Errorf("ssh %s: %w", c.Name, c.run(ctx, s))
}

// run returns only if ssh could not be started.
func (c *sshCmd) run(ctx context.Context, s *session) error {
	words, err := commandWords(c.Command, "ssh")
	if err != nil {
		return err
	}
	ssh, err := launcher.SSH(ctx, s.env, launcher.SSHRequest{Name: c.Name, Command: words, TTY: c.TTY})
	if err != nil {
		return err
	}
	return s.become(ssh)
}

// become executes another program in place of this process, so that the program has the terminal, the signals and the
// exit code. It returns only on an error.
func (s *session) become(p launcher.Program) error {
	s.Command(p.Argv)
	return fmt.Errorf("%s: %w", p.Path, syscall.Exec(p.Path, p.Argv, p.Environ))
}

// commandWords returns what to run in a guest, without the -- before it. Without --, a first word that looks like an
// option is an error, since it may be meant for ssh.
func commandWords(words []string, command string) ([]string, error) {
	switch {
	case len(words) == 0:
	case words[0] == "--":
		return words[1:], nil
	case strings.HasPrefix(words[0], "-"):
		return nil, &usageError{fmt.Errorf(
			"%s: not an option of qlaunch %s; a command that begins with - goes behind --", words[0], command), command}
	}
	return words, nil
}

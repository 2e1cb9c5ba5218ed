package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"

	"github.com/qlaunch/qlaunch/vms"
)

type cpCmd struct {
	Source    string `arg:"" name:"src" help:"A file here, or NAME:PATH in a VM."`
	Target    string `arg:"" name:"dst" help:"Where it goes: a path here, or NAME:PATH in a VM."`
	Recursive bool   `short:"r" help:"Copy a directory with all that is in it."`
}

func (cpCmd) Help() string {
	return "Runs your own scp, as qlaunch ssh runs ssh; its exit code is passed through. " +
		"A path in a VM starts from its user's home directory. A name with a colon in it that is a file here is written with a slash before: ./a:b."
}

func (cpCmd) Example() string { return "qlaunch cp -r guestvm:/var/log ./logs" }

func (c *cpCmd) Run(ctx context.Context, s *session) error {
	return fmt.Errorf("cp: %w", c.run(ctx, s))
}

// run returns only when scp could not be started.
func (c *cpCmd) run(ctx context.Context, s *session) error {
	name, from, err := c.guest()
	if err != nil {
		return &usageError{err, "cp"}
	}
	vm, err := s.managed(name)
	if err != nil {
		return err
	}
	program, err := exec.LookPath("scp")
	if err != nil {
		return errors.New("scp is not installed")
	}
	at, err := s.sshReady(ctx, vm)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	argv := c.argv(vm, at, from)
	s.showCommand(argv)
	// In scp's place, as ssh runs in ours.
	return fmt.Errorf("%s: %w", program, syscall.Exec(program, argv, s.environ))
}

// guest is the VM that one side names, and whether that is the source.
func (c *cpCmd) guest() (name string, from bool, err error) {
	source, _, isSource := inVM(c.Source)
	target, _, isTarget := inVM(c.Target)
	switch {
	case isSource && isTarget:
		return "", false, fmt.Errorf("%s and %s: one of them must be a path here", c.Source, c.Target)
	case isSource:
		return source, true, nil
	case isTarget:
		return target, false, nil
	}
	return "", false, fmt.Errorf("%s and %s: one of them must be in a VM, NAME:PATH", c.Source, c.Target)
}

// inVM takes a word apart as scp does: a colon with no slash before it ends a name, unless it is the first character.
func inVM(word string) (name, path string, ok bool) {
	name, path, ok = strings.Cut(word, ":")
	return name, path, ok && name != "" && !strings.Contains(name, "/")
}

func (c *cpCmd) argv(vm vms.VM, at netip.AddrPort, from bool) []string {
	argv := append([]string{"scp"}, optionWords(sshOptions(vm))...)
	argv = append(argv, "-P", fmt.Sprint(at.Port()))
	if c.Recursive {
		argv = append(argv, "-r")
	}
	host := at.Addr().String()
	if at.Addr().Is6() {
		host = "[" + host + "]"
	}
	if from {
		_, path, _ := inVM(c.Source)
		return append(argv, "--", host+":"+path, c.Target)
	}
	_, path, _ := inVM(c.Target)
	return append(argv, "--", c.Source, host+":"+path)
}

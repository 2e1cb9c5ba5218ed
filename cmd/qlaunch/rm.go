package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

type rmCmd struct {
	Names []string `arg:"" vm:"" name:"name" help:"VMs, each by its name."`
	Yes   bool     `short:"y" help:"Do not ask."`
}

func (rmCmd) Help() string {
	return "Removes the definition, the VM's own directories, and the disks that lie in there. Disks elsewhere stay. A VM that runs is refused."
}

func (rmCmd) Example() string { return "qlaunch down guestvm && qlaunch rm guestvm --yes" }

func (c *rmCmd) Run(ctx context.Context, s *session) error {
	return each(once(c.Names), func(name string) error { return c.one(ctx, s, name) }, "rm")
}

func (c *rmCmd) one(ctx context.Context, s *session, name string) error {
	vm, err := s.removable(name)
	if err != nil {
		return err
	}
	if err := c.confirm(s, vm); err != nil {
		return err
	}
	if err := launcher.MakeDirs(vm); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	lock, err := launcher.Acquire(ctx, vm)
	if err != nil {
		return err
	}
	if err := launcher.Remove(vm); err != nil {
		return errors.Join(err, lock.Release())
	}
	return errors.Join(os.Remove(vm.File), lock.Release())
}

// removable is the VM as far as removing needs it: a definition that cannot be used can still be removed.
func (s *session) removable(name string) (vms.VM, error) {
	if err := vms.CheckName(name); err != nil {
		return vms.VM{}, err
	}
	vm, err := s.load(name)
	if isA[vms.Errors](err) {
		env := s.store.Env(name, s.store.Path(name))
		return vms.VM{Name: name, File: env.File, DataDir: env.DataDir, StateDir: env.StateDir, RunDir: env.RunDir}, nil
	}
	return vm, err
}

// confirm asks before disks are lost.
func (c *rmCmd) confirm(s *session, vm vms.VM) error {
	disks := launcher.Owned(vm)
	if c.Yes || len(disks) == 0 {
		return nil
	}
	if !s.inTerminal {
		return usageError{fmt.Errorf("%s would be lost: say --yes", strings.Join(disks, ", "))}
	}
	fmt.Fprintf(s.stderr, "qlaunch: remove %s with %s? [y/N] ", vm.Name, clean(strings.Join(disks, ", ")))
	answer, err := bufio.NewReader(s.stdin).ReadString('\n')
	if err != nil {
		return err
	}
	if answer := strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("not confirmed")
	}
	return nil
}

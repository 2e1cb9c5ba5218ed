package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/launcher/unit"
	"github.com/qlaunch/qlaunch/vms"
)

type rmCmd struct {
	Names []string `arg:"" vm:"" name:"name" help:"VMs, each by its name."`
	Yes   bool     `short:"y" help:"Do not ask."`
}

func (rmCmd) Help() string {
	return "Removes the definition, drafts of it that edit has left, and the VM's own directories with all that is in them, and asks before disks are lost. Disks elsewhere stay. A VM that runs is refused."
}

func (rmCmd) Example() string { return "qlaunch down guestvm && qlaunch rm guestvm --yes" }

func (c *rmCmd) Run(ctx context.Context, s *session) error {
	return each(once(c.Names), func(name string) error { return c.one(ctx, s, name) }, "rm")
}

func (c *rmCmd) one(ctx context.Context, s *session, name string) error {
	vm, err := s.removable(name)
	if err == nil {
		vm, err = launcher.Locate(vm, s.qemus)
	}
	if err != nil {
		return err
	}
	if err := c.confirm(ctx, s, vm); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	lock, err := launcher.Claim(ctx, vm, launcher.CommandRemove)
	if err != nil {
		return orInterrupted(err)
	}
	if err := s.remove(name, vm); err != nil {
		return errors.Join(err, lock.Release())
	}
	return lock.Retire()
}

// remove removes all but the lock, which the caller holds. The definition is
// the last to go: while it is there, what was broken off can be done again.
func (s *session) remove(name string, vm vms.VM) error {
	if _, err := s.removable(name); err != nil {
		return err // another rm was waited for
	}
	err := launcher.Remove(vm)
	if errors.Is(err, launcher.ErrRunning) {
		return &runsError{vm.Name, err}
	}
	if err != nil {
		return err
	}
	if err := unit.Forget(s.unitDir(), vm.Name); err != nil {
		return err
	}
	if err := removeDrafts(vm.Name, vm.File); err != nil {
		return err
	}
	return os.Remove(vm.File)
}

// removable is the VM as far as removing needs it: a definition that cannot be used can still be removed.
func (s *session) removable(name string) (vms.VM, error) {
	if err := vms.CheckName(name); err != nil {
		return vms.VM{}, &definitionError{err}
	}
	vm, err := s.load(name)
	if isA[vms.Errors](err) {
		return s.bare(name), nil
	}
	return vm, err
}

// confirm asks before disks are lost.
func (c *rmCmd) confirm(ctx context.Context, s *session, vm vms.VM) error {
	if c.Yes {
		return nil
	}
	files, err := lost(vm)
	switch {
	case err != nil || len(files) == 0:
		return err
	case !s.inTerminal:
		return &lossError{vm.Name, files}
	}
	fmt.Fprintf(s.stderr, "qlaunch: remove %s with %s? [y/N] ", vm.Name, strings.Join(files, ", "))
	switch answer, err := s.answer(ctx); {
	case err != nil:
		return err
	case answer != "y" && answer != "yes":
		return errors.New("not confirmed")
	}
	return nil
}

// lost are the files that nobody could bring back: all that is in a VM's data
// directory, named by the definition or not, but for what qlaunch writes there itself.
func lost(vm vms.VM) ([]string, error) {
	entries, err := os.ReadDir(vm.DataDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		name := entry.Name()
		kept := name == "known_hosts" || name == "uefi-vars.fd" || strings.HasPrefix(name, sshEntryFile) || launcher.IsKept(name)
		if !kept {
			files = append(files, filepath.Join(vm.DataDir, name))
		}
	}
	return files, nil
}

// noAnswer is what nobody types: the end of the terminal, in place of a line.
const noAnswer = "no answer"

// answer reads a line from the terminal, in small letters. Ctrl-C is an answer
// too: the read, which nothing can end, is then left to the end of the process.
func (s *session) answer(ctx context.Context) (string, error) {
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(s.stdin).ReadString('\n') // what was typed up to an end is the answer
		lines <- line
	}()
	select {
	case line := <-lines:
		if !strings.HasSuffix(line, "\n") {
			fmt.Fprintln(s.stderr)
		}
		if line == "" {
			return noAnswer, nil
		}
		return strings.ToLower(strings.TrimSpace(line)), nil
	case <-ctx.Done():
		fmt.Fprintln(s.stderr)
		return "", errInterrupted
	}
}

// runsError says that a VM has to be shut down first.
type runsError struct {
	name string
	err  error
}

func (e *runsError) Error() string { return e.err.Error() }
func (e *runsError) Unwrap() error { return e.err }

func (e *runsError) hint() string { return "qlaunch down " + e.name }

// lossError says that files would be lost, and that nobody is there to be asked.
type lossError struct {
	name  string
	files []string
}

func (e *lossError) Error() string { return strings.Join(e.files, ", ") + " would be lost" }

func (e *lossError) hint() string { return "qlaunch rm " + e.name + " --yes" }

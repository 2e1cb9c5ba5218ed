package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/qlaunch/qlaunch/launcher"
)

type logsCmd struct {
	Name   string `arg:"" vm:"" help:"A VM."`
	QEMU   bool   `name:"qemu" help:"QEMU's own messages in place of the guest's console."`
	Follow bool   `short:"f" help:"Keep printing new output until the VM stops."`
}

func (logsCmd) Help() string {
	return "All output of the guest's serial console since the VM was started last. On a terminal, control characters are shown as escapes; in a pipe they pass as they are."
}

func (logsCmd) Example() string { return "qlaunch logs guestvm -f" }

func (c *logsCmd) Run(ctx context.Context, s *session) error {
	return of("logs", c.Name, c.run(ctx, s))
}

func (c *logsCmd) run(ctx context.Context, s *session) error {
	vm, err := s.managed(c.Name)
	if err != nil {
		return err
	}
	path := launcher.ConsoleLog(vm)
	if c.QEMU {
		path = launcher.QEMULog(vm)
	}
	f, err := openLog(path)
	if err != nil {
		return err
	}
	cut, err := launcher.SkipCut(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if cut > 0 {
		s.notice("%s: the first %d MiB are gone: a log that grows beyond 16 MiB keeps its last 8", vm.Name, cut>>20)
	}
	if c.Follow {
		return follow(ctx, vm, &tail{path: path, file: f, out: s.stdout})
	}
	return errors.Join(copyLog(ctx, s.stdout, f), f.Close())
}

func openLog(path string) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("it was never started")
	}
	return f, err
}

// copyLog copies a log to its end, which a guest that never stops writing could
// move on for ever, past what was cut from it, which may be going on meanwhile.
func copyLog(ctx context.Context, w io.Writer, log *os.File) error {
	for ctx.Err() == nil {
		if _, err := launcher.SkipCut(log); err != nil {
			return err
		}
		_, err := io.CopyN(w, log, 64<<10)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errInterrupted
}

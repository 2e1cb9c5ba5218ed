package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/qlaunch/qlaunch/launcher"
)

type logsCmd struct {
	Name string `arg:"" vm:"" help:"A VM."`
	QEMU bool   `name:"qemu" help:"QEMU's own messages in place of the guest's console."`
}

func (logsCmd) Help() string {
	return "All output of the guest's serial console since the VM was started last. On a terminal, control characters are shown as escapes; in a pipe they pass as they are."
}

func (logsCmd) Example() string { return "qlaunch logs guestvm | tail" }

func (c *logsCmd) Run(ctx context.Context, s *session) error {
	if err := c.run(ctx, s); err != nil {
		return fmt.Errorf("logs %s: %w", c.Name, err)
	}
	return nil
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
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("it was never started")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if s.outTerminal {
		return copyClean(ctx, s.stdout, f)
	}
	_, err = io.Copy(s.stdout, f)
	return err
}

// copyClean copies line by line, a very long line in pieces, each fit for a terminal.
func copyClean(ctx context.Context, w io.Writer, r io.Reader) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	for ctx.Err() == nil {
		line, err := lines.ReadSlice('\n')
		text := strings.TrimSuffix(string(line), "\r\n")
		if len(text) < len(line) {
			text += "\n"
		}
		if _, err := io.WriteString(w, clean(text)); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
	return errInterrupted
}

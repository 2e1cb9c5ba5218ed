package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

type screenCmd struct {
	Name string `arg:"" vm:"" help:"A VM."`
	File string `arg:"" help:"The PNG file to write."`
}

func (screenCmd) Help() string {
	return "Writes what the VM's display shows. A VM has a display when [display] in its definition gives it one."
}

func (screenCmd) Example() string { return "qlaunch screenshot guestvm guestvm.png" }

func (c *screenCmd) Run(ctx context.Context, s *session) error {
	return of("screenshot", c.Name, c.run(ctx, s))
}

func (c *screenCmd) run(ctx context.Context, s *session) error {
	vm, err := launcher.Current(s.env, c.Name)
	if err != nil {
		return err
	}
	process, err := launcher.FindProcess(vm)
	if err != nil {
		return err
	}
	process.Close()
	if info, err := os.Stat(c.File); err == nil && info.IsDir() {
		return &usageError{fmt.Errorf("%s: is a directory", c.File), "screenshot"}
	}
	picture, err := takeScreenshot(ctx, vm)
	if err != nil {
		return err
	}
	defer picture.Close()
	return save(c.File, picture)
}

// screenshotPatience is how long QEMU may take to draw; it needs a hundredth of a second.
const screenshotPatience = 10 * time.Second

// takeScreenshot gives the picture as QEMU wrote it, in a file that has no name
// any more. It is written into the VM's private directory: QEMU makes its file
// readable to all, unless it is
// there already (ui/console.c, qmp_screendump).
func takeScreenshot(ctx context.Context, vm vms.VM) (*os.File, error) {
	f, err := os.CreateTemp(vm.RunDir, "screenshot-*.png")
	if err != nil {
		return nil, err
	}
	err = launcher.OnMonitor(ctx, vm, screenshotPatience, func(ctx context.Context, m *qmp.Monitor) error {
		return screendump(ctx, m, f.Name())
	})
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func screendump(ctx context.Context, m *qmp.Monitor, path string) error {
	arguments, err := json.Marshal(map[string]string{"filename": path, "format": "png"})
	if err != nil {
		return err
	}
	_, err = execute(ctx, m, "screendump", arguments)
	if refused, ok := errors.AsType[*qmp.Error](err); ok && strings.HasPrefix(refused.Desc, "There is no console") {
		return &noDisplayError{refused}
	}
	return err
}

// save copies a file as a shell's > does: into what is there, or into a new file with the user's umask.
func save(path string, from io.Reader) error {
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// noDisplayError says, in QEMU's words, that a VM has nothing to show.
type noDisplayError struct{ err error }

func (e *noDisplayError) Error() string { return e.err.Error() }
func (e *noDisplayError) Unwrap() error { return e.err }

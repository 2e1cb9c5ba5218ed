package launcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

// screenshotPatience is how long QEMU may take to draw; it usually takes 10 ms.
const screenshotPatience = 10 * time.Second

// Screenshot writes the contents of a running VM's display to a PNG file, like a shell's >: it overwrites a file, or
// creates one with the umask of this process. A VM without a display is a [*NoDisplayError], a directory at the path
// a [*PathsError].
func Screenshot(ctx context.Context, e *Env, name, file string) error {
	r, err := findRunning(e, name)
	if err != nil {
		return err
	}
	r.process.Close()
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return &PathsError{fmt.Errorf("%s: is a directory", file)}
	}
	picture, err := takeScreenshot(ctx, r.vm)
	if err != nil {
		return err
	}
	defer picture.Close()
	to, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, picture)
	return errors.Join(err, to.Close())
}

// takeScreenshot returns the picture in an unlinked file. QEMU writes it into the VM's private directory, since QEMU
// creates files that are readable by all users (ui/console.c, qmp_screendump).
func takeScreenshot(ctx context.Context, vm vms.VM) (*os.File, error) {
	f, err := os.CreateTemp(vm.RunDir, "screenshot-*.png")
	if err != nil {
		return nil, err
	}
	err = onMonitor(ctx, vm, screenshotPatience, func(ctx context.Context, m *qmp.Monitor) error {
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
		return &NoDisplayError{refused}
	}
	return err
}

// NoDisplayError says that a VM has no display.
type NoDisplayError struct{ Err error } // from QEMU or from us

func (e *NoDisplayError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *NoDisplayError) Unwrap() error { return e.Err }

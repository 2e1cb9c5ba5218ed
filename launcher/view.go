package launcher

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// View gives a program that shows the display of a VM that runs in a window: remote-viewer for a spice display,
// TigerVNC's for a vnc one. A VM without a display is a [*NoDisplayError]; where no such program is installed the
// error is a [*NoViewerError].
func View(ctx context.Context, e *Env, name string) (Program, error) {
	r, err := findRunning(e, name)
	if err != nil {
		return Program{}, err
	}
	r.process.Close()
	vm := r.vm
	if vm.Display.Type == vms.DisplayNone {
		return Program{}, &NoDisplayError{errors.New("it has no display")}
	}
	target := viewerTarget(vm)
	program, err := findViewer(ctx, vm.Display.Type)
	if err != nil {
		return Program{}, &NoViewerError{vm.Display.Type, target}
	}
	return Program{program, []string{program, target}, e.Environ}, nil
}

// findViewer gives a program that shows a display at a Unix socket. Few do: remote-viewer speaks VNC too, but over
// TCP alone (virt-viewer 11), and of the programs that are called vncviewer TigerVNC's does.
func findViewer(ctx context.Context, display vms.DisplayType) (string, error) {
	if display == vms.DisplaySpice {
		return exec.LookPath("remote-viewer")
	}
	if program, err := exec.LookPath("xtigervncviewer"); err == nil {
		return program, nil
	}
	program, err := exec.LookPath("vncviewer")
	if err != nil {
		return "", err
	}
	if !isTigerVNC(ctx, program) {
		return "", exec.ErrNotFound
	}
	return program, nil
}

// isTigerVNC asks a viewer for its version, which TigerVNC's tells without a display.
func isTigerVNC(ctx context.Context, program string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	about, _ := exec.CommandContext(ctx, program, "--version").CombinedOutput() // it ends with code 1
	return strings.Contains(string(about), "TigerVNC")
}

// viewerTarget is the display as the viewer's command line names it.
func viewerTarget(vm vms.VM) string {
	socket := qemu.DisplaySocket(vm)
	if vm.Display.Type == vms.DisplaySpice {
		return (&url.URL{Scheme: "spice+unix", Path: socket}).String()
	}
	return socket
}

// NoViewerError says where a display can be looked at when no program here shows it.
type NoViewerError struct {
	Display vms.DisplayType
	Target  string // the display, as a viewer's command line names it
}

func (e *NoViewerError) Error() string {
	return fmt.Sprintf("no viewer for %s is installed; the display is at %s", e.Display, e.Target)
}

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

// View returns a program that shows the display of a running VM in a window: remote-viewer for a spice display,
// TigerVNC's viewer for a vnc one. A VM without a display is a [*NoDisplayError]; if no such program is installed,
// the error is a [*NoViewerError].
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

// findViewer returns a program that can show a display on a Unix socket. Few can: remote-viewer supports VNC only
// over TCP (virt-viewer 11), and among the programs named vncviewer only TigerVNC's can.
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

// isTigerVNC checks a viewer's version, which TigerVNC's prints without a display.
func isTigerVNC(ctx context.Context, program string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	about, _ := exec.CommandContext(ctx, program, "--version").CombinedOutput() // it exits with 1
	return strings.Contains(string(about), "TigerVNC")
}

// viewerTarget returns the display as an argument for the viewer.
func viewerTarget(vm vms.VM) string {
	socket := qemu.DisplaySocket(vm)
	if vm.Display.Type == vms.DisplaySpice {
		return (&url.URL{Scheme: "spice+unix", Path: socket}).String()
	}
	return socket
}

// NoViewerError names a display that no program here can show.
type NoViewerError struct {
	Display vms.DisplayType
	Target  string // the display, as an argument for a viewer
}

func (e *NoViewerError) Error() string {
	return fmt.Sprintf("no viewer for %s is installed; the display is at %s", e.Display, e.Target)
}

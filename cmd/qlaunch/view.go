package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

type viewCmd struct {
	Name string `arg:"" vm:"" help:"A VM."`
}

func (viewCmd) Help() string {
	return "Runs a viewer that is installed: remote-viewer for a spice display, TigerVNC's for a vnc one. " +
		"A VM has a display when [display] in its definition gives it one."
}

func (viewCmd) Example() string { return "qlaunch view guestvm" }

func (c *viewCmd) Run(ctx context.Context, s *session) error {
	return fmt.Errorf("view %s: %w", c.Name, c.run(ctx, s))
}

// run returns only when no viewer could be started.
func (c *viewCmd) run(ctx context.Context, s *session) error {
	vm, err := launcher.Current(s.env, c.Name)
	if err != nil {
		return err
	}
	process, err := launcher.FindProcess(vm)
	if err != nil {
		return err
	}
	process.Close()
	if vm.Display.Type == vms.DisplayNone {
		return &noDisplayError{errors.New("it has no display")}
	}
	program, err := findViewer(ctx, vm.Display.Type)
	if err != nil {
		return &noViewerError{vm}
	}
	argv := []string{program, viewerTarget(vm)}
	s.Command(argv)
	// In our place the viewer has the terminal and the signals to itself.
	return fmt.Errorf("%s: %w", program, syscall.Exec(program, argv, s.env.Environ))
}

// findViewer gives a program that shows a display at a Unix socket. Few do:
// remote-viewer speaks VNC too, but over TCP alone (virt-viewer 11), and of the
// programs that are called vncviewer TigerVNC's does.
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

// viewerTarget is what the viewer is to show, in its own words.
func viewerTarget(vm vms.VM) string {
	socket := qemu.DisplaySocket(vm)
	if vm.Display.Type == vms.DisplaySpice {
		return (&url.URL{Scheme: "spice+unix", Path: socket}).String()
	}
	return socket
}

// noViewerError says where a display can be looked at when no program here does it.
type noViewerError struct{ vm vms.VM }

func (e *noViewerError) Error() string {
	return fmt.Sprintf("no viewer for %s is installed; the display is at %s", e.vm.Display.Type, viewerTarget(e.vm))
}

func (e *noViewerError) hint() string {
	if e.vm.Display.Type == vms.DisplaySpice {
		return "sudo apt install virt-viewer"
	}
	return "sudo apt install tigervnc-viewer"
}

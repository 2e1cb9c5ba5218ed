package qemu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/qlaunch/qlaunch/vms"
)

// ErrNoSpice means that a VM's display needs spice, which its QEMU does not support: distributions have it in a
// separate package.
var ErrNoSpice = errors.New("this QEMU has no spice")

// lacksSpice recognises QEMU's message about that: the first is that of 7.2, the second that of 10.0.
func lacksSpice(words string) bool {
	return strings.Contains(words, "spice support is disabled") || strings.Contains(words, "There is no option group 'spice'")
}

const displayName = "display.sock"

// DisplaySocket returns the path of the socket of a VM's display, if it has one.
func DisplaySocket(vm vms.VM) string { return filepath.Join(vm.RunDir, displayName) }

// display adds a graphics card, a tablet, so that the guest's pointer follows the viewer's, a keyboard, and a socket
// for a viewer.
//
// Neither -vnc nor -spice accepts a descriptor, so QEMU creates this socket itself.
func (a *args) display() {
	switch a.vm.Display.Type {
	case vms.DisplayVNC:
		a.screen()
		a.add("-vnc", list("", prop{"vnc", "unix:" + a.displayPath()}))
	case vms.DisplaySpice:
		a.screen()
		a.add("-spice", list("", prop{"unix", "on"}, prop{"addr", a.displayPath()}, prop{"disable-ticketing", "on"}))
		// For the guest's spice agent: the clipboard and the screen size.
		a.add("-chardev", list("spicevmc", prop{"id", "vdagent"}, prop{"name", "vdagent"}))
		a.device("virtserialport", prop{"id", "vdagent-device"}, prop{"bus", "serial.0"}, prop{"nr", 2}, prop{"chardev", "vdagent"}, prop{"name", "com.redhat.spice.0"})
	case vms.DisplayNone:
	}
}

func (a *args) screen() {
	switch {
	case a.microvm():
		a.device("virtio-gpu-device", prop{"id", "display"})
		a.device("virtio-tablet-device", prop{"id", "tablet"})
		a.device("virtio-keyboard-device", prop{"id", "keyboard"})
		return
	case a.vm.Arch == "x86_64": // with VGA, for firmware and guests that support nothing else
		a.device("virtio-vga", append([]prop{{"id", "display"}}, a.onRoot("display")...)...)
	default:
		a.device("virtio-gpu-pci", append([]prop{{"id", "display"}}, a.onRoot("display")...)...)
	}
	a.device("qemu-xhci", append([]prop{{"id", "usb"}}, a.onRoot("usb")...)...)
	a.device("usb-tablet", prop{"id", "tablet"}, prop{"bus", "usb.0"}, prop{"port", 1})
	a.device("usb-kbd", prop{"id", "keyboard"}, prop{"bus", "usb.0"}, prop{"port", 2})
}

// displayPath returns the socket's path for QEMU's command line.
func (a *args) displayPath() string {
	if a.files.RunDir != 0 {
		return fmt.Sprintf("/proc/self/fd/%d/%s", a.files.RunDir, displayName)
	}
	return DisplaySocket(a.vm)
}

// closeDisplay removes the permissions of others that QEMU's umask has left on the display's socket. The directory is
// private anyway; this is a second protection.
func closeDisplay(vm vms.VM) {
	if vm.Display.Type != vms.DisplayNone {
		_ = os.Chmod(DisplaySocket(vm), 0o600)
	}
}

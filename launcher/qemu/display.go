package qemu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/qlaunch/qlaunch/vms"
)

// ErrNoSpice means that a VM's display is to be spoken to in spice, which its QEMU cannot: distributions have that in a package of its own.
var ErrNoSpice = errors.New("this QEMU has no spice")

// lacksSpice recognises what a QEMU says then: 7.2 the one, 10.0 the other.
func lacksSpice(words string) bool {
	return strings.Contains(words, "spice support is disabled") || strings.Contains(words, "There is no option group 'spice'")
}

const displayName = "display.sock"

// DisplaySocket is the path of the socket at which a VM's display is looked at, if it has one.
func DisplaySocket(vm vms.VM) string { return filepath.Join(vm.RunDir, displayName) }

// display gives the guest a graphics card, a tablet, whose pointer is where the
// viewer's is, and a keyboard, and a socket for a viewer.
//
// Neither -vnc nor -spice takes a descriptor, so QEMU makes this socket itself.
func (a *args) display() {
	switch a.vm.Display.Type {
	case vms.DisplayVNC:
		a.screen()
		a.add("-vnc", list("", prop{"vnc", "unix:" + a.displayPath()}))
	case vms.DisplaySpice:
		a.screen()
		a.add("-spice", list("", prop{"unix", "on"}, prop{"addr", a.displayPath()}, prop{"disable-ticketing", "on"}))
		// The guest's spice agent, for the clipboard and the screen's size.
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
	case a.vm.Arch == "x86_64": // a VGA too, for firmware and guests that know no other
		a.device("virtio-vga", append([]prop{{"id", "display"}}, a.onRoot("display")...)...)
	default:
		a.device("virtio-gpu-pci", append([]prop{{"id", "display"}}, a.onRoot("display")...)...)
	}
	a.device("qemu-xhci", append([]prop{{"id", "usb"}}, a.onRoot("usb")...)...)
	a.device("usb-tablet", prop{"id", "tablet"}, prop{"bus", "usb.0"}, prop{"port", 1})
	a.device("usb-kbd", prop{"id", "keyboard"}, prop{"bus", "usb.0"}, prop{"port", 2})
}

// displayPath is the socket as QEMU is told to make it.
func (a *args) displayPath() string {
	if a.files.RunDir != 0 {
		return fmt.Sprintf("/proc/self/fd/%d/%s", a.files.RunDir, displayName)
	}
	return DisplaySocket(a.vm)
}

// closeDisplay takes from others what QEMU's umask has left them of the display's
// socket. Its directory is private anyway; this is the second door.
func closeDisplay(vm vms.VM) {
	if vm.Display.Type != vms.DisplayNone {
		_ = os.Chmod(DisplaySocket(vm), 0o600)
	}
}

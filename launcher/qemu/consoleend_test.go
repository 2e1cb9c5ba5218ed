package qemu

import (
	"errors"
	"testing"
)

// The texts are those of the programs, as they came out of a serial console.
func TestTheEndOfAConsoleShowsWhereAGuestIsStuck(t *testing.T) {
	tests := []struct {
		name, text, line string
		cause            error
	}{
		{"SeaBIOS 1.16 without a disk", "\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS (version 1.16.2-debian-1.16.2-1)\r\nBooting from Hard Disk...\r\n" +
			"Boot failed: not a bootable disk\r\n\nBooting from Floppy...\r\nBoot failed: could not read the boot disk\r\n\nNo bootable device.\r\n",
			"No bootable device.", ErrNoBootDevice},
		{"the same, and a boot after it", "No bootable device.\r\n\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS (version 1.16.3-debian-1.16.3-2)\r\nBooting from Hard Disk...\r\n", "", nil},
		{"OVMF's shell", "UEFI Interactive Shell v2.2\r\nEDK II\r\n\x1b[1m\x1b[33m\x1b[40mMapping table\x1b[0m\x1b[37m\x1b[40m\r\n\x1b[08;01H\x1b[1m\x1b[33m\x1b[40mShell> \x1b[0m\x1b[37m\x1b[40m",
			"Shell>", ErrNoBootDevice},
		{"OVMF without a shell", "BdsDxe: failed to load Boot0001 \"UEFI Misc Device\" from PciRoot(0x0)/Pci(0x1,0x0): Not Found\r\n" +
			"BdsDxe: No bootable option or device was found.\r\nBdsDxe: Press any key to enter the Boot Manager Menu.\r\n",
			"BdsDxe: No bootable option or device was found.", ErrNoBootDevice},
		{"GRUB without its files", "GRUB loading.\r\nWelcome to GRUB!\r\n\r\nerror: no such device: 1234.\r\nEntering rescue mode...\r\ngrub rescue> ", "grub rescue>", ErrBootLoader},
		{"GRUB's command line", "   Minimal BASH-like line editing is supported.\r\n\r\ngrub> \x1b[K", "grub>", ErrBootLoader},
		{"Linux without a root", "[    0.711] VFS: Cannot open root device \"(null)\"\r\n[    0.712] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n" +
			"[    0.713] Call Trace:\r\n[    0.720] Kernel Offset: 0x1c000000 from 0xffffffff81000000\r\n" +
			"[    0.721] ---[ end Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0) ]---\r\n",
			"[    0.721] ---[ end Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0) ]---", ErrPanic},
		{"Linux that restarts by itself", "[    0.712] Kernel panic - not syncing: No working init found.\r\n[    0.721] Rebooting in 10 seconds..\r\n", "", nil},
		{"systemd's emergency mode", "You are in emergency mode. After logging in, type \"journalctl -xb\" to view\r\nsystem logs, \"systemctl reboot\" to reboot, \"systemctl default\" or \"exit\"\r\n" +
			"to boot into default mode.\r\nGive root password for maintenance\r\n(or press Control-D to continue): ",
			"You are in emergency mode. After logging in, type \"journalctl -xb\" to view", ErrEmergency},
		{"Debian's initramfs", "ALERT!  UUID=1234 does not exist.  Dropping to a shell!\r\n\r\n\r\nBusyBox v1.35.0 (Debian) built-in shell (ash)\r\nEnter 'help' for a list of built-in commands.\r\n\r\n(initramfs) ",
			"(initramfs)", ErrEmergency},
		{"halt", "[   12.1] systemd-shutdown[1]: Halting system.\r\n[   12.2] reboot: System halted\r\n", "[   12.2] reboot: System halted", ErrHalted},
		{"nothing", "\x1b[2J\x1b[01;01H\r\n \r\n", "", ErrNoOutput},
		{"a login", "Debian GNU/Linux 13 web ttyS0\r\n\r\nweb login: ", "", nil},
		{"a line that is read by somebody", "$ cat old.log\r\nNo bootable device.\r\n$ ", "", nil},
		{"an escape of a hostile guest's", "grub> \x1b]0;owned\x07\x9b2J\u202e", "grub> ]0;owned2J", ErrBootLoader},
	}
	for _, tt := range tests {
		if line, cause := readConsoleEnd(tt.text); line != tt.line || !errors.Is(cause, tt.cause) {
			t.Errorf("%s: %q, %v", tt.name, line, cause)
		}
	}
}

package vms

import (
	"errors"
	"fmt"
	"strings"
)

// Accel is the accelerator: what executes the guest's instructions.
type Accel string

// The accelerators. AccelAuto is KVM, or TCG if KVM is not available.
const (
	KVM       Accel = "kvm"
	TCG       Accel = "tcg"
	AccelAuto Accel = "auto"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Accel) UnmarshalText(text []byte) error {
	return choose(a, text, KVM, TCG, AccelAuto)
}

// Firmware is what the machine runs first.
type Firmware string

// The firmwares. BIOS is what QEMU loads by default: SeaBIOS on x86_64, nothing on aarch64.
const (
	BIOS Firmware = "bios"
	UEFI Firmware = "uefi"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *Firmware) UnmarshalText(text []byte) error {
	return choose(f, text, BIOS, UEFI)
}

// DiskFormat is the format of a disk image. It is never probed, since a guest can write the header of another format
// into a raw disk (CVE-2010-2238).
type DiskFormat string

// The disk formats.
const (
	QCOW2 DiskFormat = "qcow2"
	Raw   DiskFormat = "raw"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *DiskFormat) UnmarshalText(text []byte) error {
	return choose(f, text, QCOW2, Raw)
}

// DiskBus is the bus on which the guest sees a disk.
type DiskBus string

// The buses.
const (
	BusVirtio DiskBus = "virtio"
	BusSCSI   DiskBus = "scsi"
	BusNVMe   DiskBus = "nvme"
	BusSATA   DiskBus = "sata"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *DiskBus) UnmarshalText(text []byte) error {
	return choose(b, text, BusVirtio, BusSCSI, BusNVMe, BusSATA)
}

// Restart says when systemd restarts a VM that has ended.
type Restart string

// The values of Restart. RestartOnFailure applies if QEMU was killed or crashed; a guest that powers itself off stays
// off.
const (
	RestartNo        Restart = "no"
	RestartOnFailure Restart = "on-failure"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Restart) UnmarshalText(text []byte) error {
	return choose(r, text, RestartNo, RestartOnFailure)
}

// NICType is what a NIC is connected to.
type NICType string

// The NIC types. NICNone occurs only in files: it keeps the index of a NIC that is switched off.
const (
	NICBridge NICType = "bridge"
	NICUser   NICType = "user"
	NICNone   NICType = "none"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *NICType) UnmarshalText(text []byte) error {
	return choose(t, text, NICBridge, NICUser, NICNone)
}

// DisplayType is the protocol of a VM's display.
type DisplayType string

// The display types.
const (
	DisplayNone  DisplayType = "none" // no display
	DisplayVNC   DisplayType = "vnc"
	DisplaySpice DisplayType = "spice"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *DisplayType) UnmarshalText(text []byte) error {
	return choose(t, text, DisplayNone, DisplayVNC, DisplaySpice)
}

// choose sets dst to text if text is one of the choices.
func choose[T ~string](dst *T, text []byte, choices ...T) error {
	names := make([]string, len(choices))
	for i, c := range choices {
		if string(text) == string(c) {
			*dst = c
			return nil
		}
		names[i] = string(c)
	}
	return errors.New("must be " + listed(names) + meant(string(text), names))
}

// listed joins names as `"a", "b" or "c"`.
func listed(names []string) string {
	var b strings.Builder
	for i, n := range names {
		switch {
		case i == 0:
		case i == len(names)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", n)
	}
	return b.String()
}

package qemu

import (
	"errors"
	"testing"

	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

func TestAGuestIsGivenUpOnlyWhenNothingInItCanAnswer(t *testing.T) {
	halted := qmp.Processor{Halted: true, Protected: true, Long: true, IP: 0xffffffff81c3f0aa}
	idle := qmp.Processor{Halted: true, Interrupts: true, Protected: true, Long: true, IP: 0xffffffff81c3f0ab}
	busy := qmp.Processor{Protected: true, Long: true, IP: 0xffffffff81000000}
	bios := qmp.Processor{Halted: true, Interrupts: true, IP: 0xb7b9}
	parked := qmp.Processor{Halted: true, Protected: true, IP: 0xfd09a}
	uefi := qmp.Processor{Halted: true, Interrupts: true, Protected: true, Long: true, IP: 0xf059731}
	type list = []qmp.Processor
	tests := []struct {
		name     string
		all      list
		firmware vms.Firmware
		end      error
		want     error
	}{
		{"halt, one processor", list{halted}, vms.BIOS, nil, ErrHalted},
		{"halt, two", list{halted, halted}, vms.UEFI, nil, ErrHalted},
		{"an idle Linux", list{idle, idle}, vms.BIOS, nil, nil},
		{"a Linux of which one processor was not started", list{busy, halted}, vms.BIOS, nil, nil},
		{"the same, idle", list{idle, halted}, vms.BIOS, nil, nil},
		{"a busy one that prints the firmware's words", list{busy}, vms.BIOS, ErrNoBootDevice, nil},
		{"an idle one that prints them", list{idle}, vms.BIOS, ErrNoBootDevice, nil},
		{"an idle one under UEFI that prints them", list{idle}, vms.UEFI, ErrNoBootDevice, nil},
		{"SeaBIOS without a disk", list{bios, parked}, vms.BIOS, ErrNoBootDevice, ErrNoBootDevice},
		{"SeaBIOS that waits for a disk", list{bios, parked}, vms.BIOS, nil, nil},
		{"a boot loader's menu", list{bios, parked}, vms.BIOS, ErrBootLoader, nil},
		{"UEFI's shell", list{uefi, halted}, vms.UEFI, ErrNoBootDevice, ErrNoBootDevice},
		{"UEFI that waits for a disk", list{uefi}, vms.UEFI, nil, nil},
		{"none", nil, vms.BIOS, ErrNoBootDevice, nil},
	}
	for _, tt := range tests {
		if got := neverAnswers(tt.all, tt.firmware, tt.end); !errors.Is(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

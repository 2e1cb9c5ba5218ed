package qmp

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The text of QEMU 7.2, whose SeaBIOS has found nothing to boot, without most of its registers.
const seaBIOSRegisters = "\r\nCPU#0\r\nEAX=00000000 EBX=00000000 ECX=0000b79d EDX=00000000\r\n" +
	"EIP=0000b7b9 EFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\nCS =f000 000f0000 0000ffff 00009b00\r\n" +
	"CR0=00000010 CR2=00000000 CR3=00000000 CR4=00000000\r\n\r\nCPU#1\r\nEAX=000f49f6 EBX=00000000 ECX=000002ff EDX=00000001\r\n" +
	"EIP=000fd09a EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\nCS =0008 00000000 ffffffff 00cf9b00 DPL=0 CS32 [-RA]\r\n" +
	"CR0=00000011 CR2=00000000 CR3=00000000 CR4=00000000\r\n"

func TestProcessorsAreReadOutOfTheHumanMonitorsText(t *testing.T) {
	got, err := parseProcessors(seaBIOSRegisters)
	if err != nil {
		t.Fatal(err)
	}
	want := []Processor{{Halted: true, Interrupts: true, IP: 0xb7b9}, {Halted: true, Protected: true, IP: 0xfd09a}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Processor{}, "Registers")); diff != "" {
		t.Error(diff)
	}
	long, err := parseProcessors("\nCPU#0\nRIP=000000000f059731 RFL=00000206 [-----P-] CPL=0 II=0 A20=1 SMM=0 HLT=0\nCR0=80010033 CR2=0000000000000000 CR3=000000000f801000 CR4=00000668\n")
	if diff := cmp.Diff([]Processor{{Interrupts: true, Protected: true, Long: true, IP: 0xf059731}}, long, cmpopts.IgnoreFields(Processor{}, "Registers")); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for _, text := range []string{"", "unknown command: 'info registers'\n", "\nCPU#0\nPC=0000000040200000 X00=0000000000000000\n",
		"\nCPU#0\nEIP=0000b7b9 EFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\n", seaBIOSRegisters + "\nCPU#2\nEIP=0\n"} {
		if got, err := parseProcessors(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

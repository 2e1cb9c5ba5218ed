package qmp

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// Processor is the state of an x86 processor at one moment.
type Processor struct {
	Halted     bool   // it executed HLT and waits for an interrupt
	Interrupts bool   // it accepts interrupts (FLAGS.IF); a halted processor that does not stays halted
	Protected  bool   // it is in protected mode (CR0.PE)
	Long       bool   // it is in 64-bit mode
	IP         uint64 // the address of its next instruction
	Registers  string // all registers as a text, to be compared
}

// Processors returns the state of the guest's processors. QMP has no command for that, so it uses "info registers" of
// the human monitor (QEMU's target/i386/cpu-dump.c), whose text is the same in QEMU 7.2 and 10.0. A text in another
// format, such as that of another architecture, is an error.
func (m *Monitor) Processors(ctx context.Context) ([]Processor, error) {
	reply, err := m.With(ctx).Run([]byte(`{"execute": "human-monitor-command", "arguments": {"command-line": "info registers -a"}}`))
	if err != nil {
		return nil, err
	}
	var answer struct{ Return string }
	if err := json.Unmarshal(reply, &answer); err != nil {
		return nil, m.inCommand("human-monitor-command", err)
	}
	processors, err := parseProcessors(answer.Return)
	return processors, m.inCommand("human-monitor-command", err)
}

var (
	flagsLine = regexp.MustCompile(`(?m)^(EIP|RIP)=([0-9a-f]{8,16}) (?:EFL|RFL)=([0-9a-f]{8}) .* HLT=([01])\s*$`)
	cr0       = regexp.MustCompile(`(?m)^CR0=([0-9a-f]{8}) `)
)

// parseProcessors parses the text of "info registers -a".
func parseProcessors(text string) ([]Processor, error) {
	errForm := errors.New("registers in a form that is not known")
	blocks := strings.Split("\n"+strings.ReplaceAll(text, "\r", ""), "\nCPU#")[1:]
	if len(blocks) == 0 {
		return nil, errForm
	}
	var processors []Processor
	for _, block := range blocks {
		flags, control := flagsLine.FindStringSubmatch(block), cr0.FindStringSubmatch(block)
		if flags == nil || control == nil {
			return nil, errForm
		}
		ip, _ := strconv.ParseUint(flags[2], 16, 64) // digits, by the pattern
		fl, _ := strconv.ParseUint(flags[3], 16, 32)
		pe, _ := strconv.ParseUint(control[1], 16, 32)
		const interruptFlag, protection = 1 << 9, 1
		processors = append(processors, Processor{Halted: flags[4] == "1", Interrupts: fl&interruptFlag != 0, Protected: pe&protection != 0,
			Long: flags[1] == "RIP", IP: ip, Registers: block})
	}
	return processors, nil
}

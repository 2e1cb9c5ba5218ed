package qemu

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/qlaunch/qlaunch/vms"
)

// What the end of the console log can show about a guest that is stuck.
var (
	// ErrNoBootDevice says that the firmware found nothing to boot.
	ErrNoBootDevice = errors.New("the firmware found nothing to boot")
	// ErrBootLoader says that the boot loader waits for commands.
	ErrBootLoader = errors.New("the boot loader waits at its prompt")
	// ErrPanic says that the guest's kernel has given up.
	ErrPanic = errors.New("the guest's kernel has panicked")
	// ErrEmergency says that the guest waits for somebody to repair it.
	ErrEmergency = errors.New("the guest is in emergency mode")
	// ErrHalted says that the guest has halted, while QEMU still runs.
	ErrHalted = errors.New("the guest is halted")
	// ErrNoOutput says that the console has no output.
	ErrNoOutput = errors.New("nothing has come from the guest's console")
)

// ConsoleError says what the end of a VM's console log shows.
type ConsoleError struct {
	VM    vms.VM
	Line  string // the line that shows it: the guest's text, cleaned; may be empty
	Cause error  // one of the errors above
}

func (e *ConsoleError) Error() string {
	if e.Line == "" {
		return e.Cause.Error()
	}
	return fmt.Sprintf("%v (console: %s)", e.Cause, e.Line)
}

// Unwrap returns the cause.
func (e *ConsoleError) Unwrap() error { return e.Cause }

// ConsoleEnd returns a *ConsoleError if the last lines of the console log show that the guest is stuck, else nil. The
// guest writes these lines, so they are used only as a statement about itself.
func ConsoleEnd(vm vms.VM) error {
	line, cause := readConsoleEnd(lastWords(ConsoleLog(vm)))
	if cause == nil {
		return nil
	}
	return &ConsoleError{vm, line, cause}
}

// readConsoleEnd finds the line that shows why a guest is stuck. It is pure.
func readConsoleEnd(text string) (line string, cause error) {
	lines := consoleLines(text)
	if len(lines) == 0 {
		return "", ErrNoOutput
	}
	for _, end := range consoleEnds() {
		from := max(0, len(lines)-end.within)
		for _, line := range slices.Backward(lines[from:]) {
			if end.words.MatchString(line) {
				return line, end.cause
			}
		}
	}
	return "", nil
}

// consoleEnd is a text that shows that a guest is stuck, if it is in one of the last lines.
type consoleEnd struct {
	words  *regexp.Regexp
	within int
	cause  error
}

// consoleEnds returns the texts, from the sources of SeaBIOS (src/boot.c), EDK II (BdsDxe, ShellPkg), GRUB
// (grub-core/normal, kern/rescue_reader.c), Linux (kernel/panic.c, kernel/reboot.c), systemd
// (units/emergency.service.in, sulogin) and initramfs-tools (scripts/functions).
func consoleEnds() []consoleEnd {
	const end, near = 1, 6
	words := regexp.MustCompile
	return []consoleEnd{
		{words(`^No bootable device\.`), end, ErrNoBootDevice},
		{words(`^BdsDxe: No bootable option or device was found`), 2, ErrNoBootDevice},
		{words(`^Shell>$`), end, ErrNoBootDevice},
		{words(`^grub( rescue)?>`), end, ErrBootLoader},
		{words(`---\[ end Kernel panic - not syncing`), 3, ErrPanic}, // a kernel that reboots after a panic does not print this line
		{words(`(^|\] )reboot: System halted$`), 3, ErrHalted},
		{words(`^You are in (emergency|rescue) mode`), near, ErrEmergency},
		{words(`^(Press Enter for maintenance|Give root password for maintenance)`), 2, ErrEmergency},
		{words(`^\(initramfs\)`), end, ErrEmergency},
	}
}

// escapes matches the sequences with which firmware and boot loaders draw on a terminal: ECMA-48, section 5.4, and
// ESC with one letter.
var escapes = regexp.MustCompile("\x1b(\\[[0-9;?=]*[A-Za-z]|[A-Za-z=>])")

// consoleLines returns the non-empty lines of a console's text, without what a terminal would interpret.
func consoleLines(text string) []string {
	const longest = 200
	text = escapes.ReplaceAllString(strings.ToValidUTF8(text, ""), "")
	var lines []string
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return -1
			}
			return r
		}, line))
		if line != "" {
			lines = append(lines, strings.ToValidUTF8(line[:min(len(line), longest)], ""))
		}
	}
	return lines
}

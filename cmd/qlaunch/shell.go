package main

import (
	"strings"

	"al.essio.dev/pkg/shellescape"
)

// shellLine is a command line that can be pasted into a shell.
func shellLine(argv []string) string { return shellescape.QuoteCommand(argv) }

// shellLines is the same with one option per line, for reading.
func shellLines(argv []string) string {
	var b strings.Builder
	for i, word := range argv {
		switch {
		case i == 0:
		case strings.HasPrefix(word, "-"):
			b.WriteString(" \\\n  ")
		default:
			b.WriteByte(' ')
		}
		b.WriteString(shellescape.Quote(word))
	}
	return b.String()
}

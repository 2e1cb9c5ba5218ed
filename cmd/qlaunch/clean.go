package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// clean makes a text fit for a terminal. Whatever could move the cursor, change a colour, rename a window, paste into
// the clipboard or turn the reading direction around is shown as an escape; line breaks and tabs stay. All text that
// did not come from this program goes through here, and nothing else does this.
func clean(text string) string {
	if !strings.ContainsFunc(text, unfit) && strings.ToValidUTF8(text, "") == text {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == unicode.ReplacementChar && !strings.HasPrefix(text[i:], string(unicode.ReplacementChar)):
			fmt.Fprintf(&b, `\x%02x`, text[i]) // a byte that is no UTF-8
		case !unfit(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// unfit holds for controls (Unicode's Cc, both C0 and C1) and for format characters (Cf: bidi overrides, zero-width
// characters), for the line and paragraph separators, and for four letters by their class that are blank on the
// screen.
func unfit(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || strings.ContainsRune("\u115f\u1160\u3164\uffa0", r))
}

// cleanWriter makes fit for a terminal what is written through it, piece by piece as it comes; see clean. A carriage
// return that belongs to a line break is left out.
type cleanWriter struct {
	w     io.Writer
	mutex sync.Mutex // several VMs' commands speak at the same time
	held  []byte     // the end of the last piece, whose meaning the next one decides
}

// Write writes all but the beginning of a character, or of a line break, whose rest is still to come.
func (c *cleanWriter) Write(p []byte) (int, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	text := append(c.held, p...)
	whole := len(text) - undecided(text)
	c.held = append([]byte(nil), text[whole:]...)
	if _, err := io.WriteString(c.w, cleanLines(text[:whole])); err != nil {
		return 0, err
	}
	return len(p), nil
}

// flush writes what is held back: nothing more comes.
func (c *cleanWriter) flush() error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	text := cleanLines(c.held)
	c.held = nil
	_, err := io.WriteString(c.w, text)
	return err
}

func cleanLines(text []byte) string { return clean(strings.ReplaceAll(string(text), "\r\n", "\n")) }

// undecided is how many bytes at the end of a text are the beginning of something longer.
func undecided(text []byte) int {
	for n := 1; n <= min(len(text), utf8.UTFMax-1); n++ {
		last := text[len(text)-n:]
		if utf8.RuneStart(last[0]) {
			if last[0] == '\r' && n == 1 || !utf8.FullRune(last) {
				return n
			}
			return 0
		}
	}
	return 0
}

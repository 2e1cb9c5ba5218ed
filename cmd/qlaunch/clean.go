package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// clean makes a text safe to print to a terminal. It escapes everything that could move the cursor, change a colour,
// rename a window, paste into the clipboard or change the reading direction, and keeps line breaks and tabs. All text
// that does not come from this program passes through clean, and nothing else does this.
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

// unfit reports whether a character must be escaped: controls (Unicode's Cc, both C0 and C1), format characters (Cf:
// bidi overrides, zero-width characters), the line and paragraph separators, and four characters that are letters in
// Unicode but appear blank.
func unfit(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || strings.ContainsRune("\u115f\u1160\u3164\uffa0", r))
}

// cleanWriter applies clean to what is written through it, as it comes. It drops a carriage return before a line
// feed.
type cleanWriter struct {
	w     io.Writer
	mutex sync.Mutex // the commands of several VMs write at the same time
	held  []byte     // the end of the last piece, whose meaning depends on the next one
}

// Write holds back an incomplete character, or an incomplete line break, at the end.
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

// flush writes what was held back, at the end of the output.
func (c *cleanWriter) flush() error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	text := cleanLines(c.held)
	c.held = nil
	_, err := io.WriteString(c.w, text)
	return err
}

func cleanLines(text []byte) string { return clean(strings.ReplaceAll(string(text), "\r\n", "\n")) }

// undecided returns how many bytes at the end of a text are the beginning of something longer.
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

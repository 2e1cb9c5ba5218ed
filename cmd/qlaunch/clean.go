package main

import (
	"fmt"
	"strings"
	"unicode"
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

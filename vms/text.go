package vms

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// invisible finds the first character that a terminal would obey or hide
// instead of showing it: controls, text direction and zero-width characters,
// line separators. U+115F, U+1160, U+3164 and U+FFA0 are letters by their class
// and blank on the screen.
func invisible(text string) (rune, bool) {
	for _, r := range text {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) ||
			strings.ContainsRune("\u115f\u1160\u3164\uffa0", r) {
			return r, true
		}
	}
	return 0, false
}

// show is a value as an error shows it.
func show(value any) string {
	const most = 200 // bytes; what is longer is no value of ours, and no help on a screen
	switch v := value.(type) {
	case string:
		if len(v) > most {
			return strconv.Quote(v[:most]) + "…"
		}
		return strconv.Quote(v)
	case []any:
		return "[…]"
	case map[string]any:
		return "{…}"
	}
	return fmt.Sprint(value)
}

package vms

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// invisible finds the first character that a terminal would interpret or hide: controls, text direction and
// zero-width characters, line separators. U+115F, U+1160, U+3164 and U+FFA0 are letters in Unicode, but appear blank.
func invisible(text string) (rune, bool) {
	for _, r := range text {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) ||
			strings.ContainsRune("\u115f\u1160\u3164\uffa0", r) {
			return r, true
		}
	}
	return 0, false
}

// show formats a value for an error.
func show(value any) string {
	const most = 200 // bytes; no valid value is longer
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

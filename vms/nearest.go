package vms

import (
	"fmt"
	"strings"

	"github.com/agext/levenshtein"
)

// meant returns `: did you mean "memory"?` if one of the names is similar to what was typed, else an empty text.
func meant(typed string, names []string) string {
	if near := nearest(typed, names); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ""
}

// nearest returns the name with the smallest edit distance to what was typed, ignoring case. It is empty if the
// distance is more than one edit in three letters, since that is no typing mistake.
func nearest(typed string, names []string) string {
	const longest = 40 // longer than every key; keeps the comparison cheap
	if len(typed) > longest {
		return ""
	}
	best, least := "", len(typed)/3+1
	for _, name := range names {
		if d := levenshtein.Distance(strings.ToLower(typed), name, nil); d < least {
			best, least = name, d
		}
	}
	return best
}

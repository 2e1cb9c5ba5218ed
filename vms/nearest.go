package vms

import (
	"fmt"
	"strings"

	"github.com/agext/levenshtein"
)

// meant is `: did you mean "memory"?` when one of the names is near to what
// was typed, and empty otherwise.
func meant(typed string, names []string) string {
	if near := nearest(typed, names); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ""
}

// nearest is the name that takes the fewest edits to get to from what was
// typed, or empty when that is more than a slip of the fingers: one edit in
// three letters. Case does not count.
func nearest(typed string, names []string) string {
	const longest = 40 // no key of ours is as long; keeps the comparison cheap
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

package vms

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one mistake in a definition.
type Error struct {
	File         string
	Line, Column int // counted from 1, the column in bytes
	Text         string
}

// Error returns "FILE:LINE:COLUMN: text".
func (e Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
}

// Errors are all mistakes that were found in a definition, in the order of their lines.
type Errors []Error

// Error returns one line for each mistake.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// sort sorts the mistakes by their position in the file.
func (es Errors) sort() {
	slices.SortStableFunc(es, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

package vms

import (
	"fmt"
	"strings"
)

// numbered is n lines of a format that takes the line's number.
func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

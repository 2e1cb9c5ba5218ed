package main

import (
	"cmp"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// instrument puts mutants into a file's text. Each is off until its number is chosen.
func instrument(text []byte, base token.Pos, mutants []mutant) []byte {
	type numbered struct {
		edit
		id int
	}
	var edits []numbered
	for _, m := range mutants {
		for _, e := range m.edits {
			edits = append(edits, numbered{e, m.id})
		}
	}
	slices.SortStableFunc(edits, func(a, b numbered) int {
		if order := cmp.Compare(a.at, b.at); order != 0 {
			return order
		}
		if a.closes != b.closes { // what ends here ends before the next begins
			if a.closes {
				return -1
			}
			return 1
		}
		if a.closes { // the shorter ends first, the later of two equals too
			return cmp.Or(cmp.Compare(a.span, b.span), cmp.Compare(b.id, a.id))
		}
		return cmp.Or(cmp.Compare(b.span, a.span), cmp.Compare(a.id, b.id))
	})
	var out []byte
	done := 0
	for _, e := range edits {
		out = append(out, text[done:e.at-base]...)
		out = append(out, strings.ReplaceAll(e.text, "\x00", strconv.Itoa(e.id))...)
		done = max(done, int(e.until-base))
	}
	return append(out, text[done:]...)
}

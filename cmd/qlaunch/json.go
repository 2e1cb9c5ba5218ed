package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf16"
)

// printJSON prints a value as JSON. It escapes the characters in strings that are not safe to print to a terminal;
// the parsed value is the same.
func printJSON(w io.Writer, v any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	var fit bytes.Buffer
	for _, r := range text.String() {
		if !unfit(r) { // outside of strings all is
			fit.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&fit, `\u%04x`, unit)
		}
	}
	_, err := w.Write(fit.Bytes())
	return err
}

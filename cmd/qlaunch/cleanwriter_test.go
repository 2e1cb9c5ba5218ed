package main

import (
	"strings"
	"testing"
)

// Wherever a text is cut, it comes out as if it had been written at once.
func TestCleanWriterCutsNothingInTwo(t *testing.T) {
	for _, text := range []string{"", "plain\n", "größe €5 😀 end", "a\r\nb\rc\r", "\x1b[2J\u202e\u009b", "\xff\xf0\x9f\x98 \xe2\x82", "\r\r\n\n"} {
		var want strings.Builder
		w := &cleanWriter{w: &want}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.flush(); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(want.String(), "\x1b\u202e\u009b\r") {
			t.Errorf("%q comes out as %q", text, want.String())
		}
		var got strings.Builder
		w = &cleanWriter{w: &got}
		for i := range len(text) {
			if n, err := w.Write([]byte(text[i : i+1])); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := w.flush(); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Errorf("%q comes out as %q byte by byte, as %q at once", text, got.String(), want.String())
		}
	}
}

func TestCleanWriterHoldsNoTextBack(t *testing.T) {
	var got strings.Builder
	if _, err := (&cleanWriter{w: &got}).Write([]byte("login: ")); err != nil || got.String() != "login: " {
		t.Errorf("%q, %v", got.String(), err)
	}
}

package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCleanTextCanDoNothingToATerminal(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"plain", "no such bridge: virbr0", "no such bridge: virbr0"},
		{"nothing", "", ""},
		{"lines and tabs", "one\n\ttwo\n", "one\n\ttwo\n"},
		{"other scripts", "größe, 大小, ñ, 👍", "größe, 大小, ñ, 👍"},
		{"colour", "\x1b[31mred", `\x1b[31mred`},
		{"window title", "\x1b]0;owned\x07", `\x1b]0;owned\x07`},
		{"return, backspace, bell", "a\rb\bc\a", `a\x0db\x08c\x07`},
		{"NUL and DEL", "\x00\x7f", `\x00\x7f`},
		{"CSI of C1, as UTF-8", "\u009b31m", `\x9b31m`},
		{"CSI of C1, as a byte", "\x9b31m", `\x9b31m`},
		{"bidi override", "a\u202eb\u2066c\u2069", `a\u202eb\u2066c\u2069`},
		{"zero width", "a\u200bb\u200dc\ufeff", `a\u200bb\u200dc\ufeff`},
		{"separators", "a\u2028b\u2029c", `a\u2028b\u2029c`},
		{"blank letters", "a\u3164b\uffa0", `a\u3164b\uffa0`},
		{"tags", "a\U000e0041", `a\ue0041`},
		{"a byte that is no UTF-8", "a\xffb", `a\xffb`},
		{"half a rune", "a\xe5\xa4", `a\xe5\xa4`},
		{"the replacement character itself", "a\ufffdb", "a\ufffdb"},
		{"and beside a byte that is no UTF-8", "\ufffd\xff", "\ufffd" + `\xff`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := clean(test.text); got != test.want {
				t.Errorf("clean(%q) = %q, want %q", test.text, got, test.want)
			}
		})
	}
}

func FuzzCleanTextIsFit(f *testing.F) {
	for _, seed := range []string{"plain", "\x1b[31mred\n", "\u009b\x9b", "a\u202eb", "\xff\ufffd", "\t\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := clean(text)
		if !utf8.ValidString(got) {
			t.Errorf("clean(%q) = %q is no UTF-8", text, got)
		}
		for _, r := range got {
			control := r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0
			turning := r == 0x61c || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2060 && r <= 0x206f || r == 0xfeff
			if control || turning {
				t.Errorf("clean(%q) = %q holds %U", text, got, r)
			}
		}
		if again := clean(got); again != got {
			t.Errorf("clean(%q) = %q, and cleaned again %q", text, got, again)
		}
		if strings.Count(got, "\n") != strings.Count(text, "\n") {
			t.Errorf("clean(%q) = %q has other lines", text, got)
		}
	})
}

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

package main

import (
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// cleanWriter makes fit for a terminal what is written through it, piece by piece as it comes; see clean. A carriage
// return that belongs to a line break is left out.
type cleanWriter struct {
	w     io.Writer
	mutex sync.Mutex // several VMs' commands speak at the same time
	held  []byte     // the end of the last piece, whose meaning the next one decides
}

// Write writes all but the beginning of a character, or of a line break, whose rest is still to come.
func (c *cleanWriter) Write(p []byte) (int, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	text := append(c.held, p...)
	whole := len(text) - undecided(text)
	c.held = append([]byte(nil), text[whole:]...)
	if _, err := io.WriteString(c.w, cleanLines(text[:whole])); err != nil {
		return 0, err
	}
	return len(p), nil
}

// flush writes what is held back: nothing more comes.
func (c *cleanWriter) flush() error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	text := cleanLines(c.held)
	c.held = nil
	_, err := io.WriteString(c.w, text)
	return err
}

func cleanLines(text []byte) string { return clean(strings.ReplaceAll(string(text), "\r\n", "\n")) }

// undecided is how many bytes at the end of a text are the beginning of something longer.
func undecided(text []byte) int {
	for n := 1; n <= min(len(text), utf8.UTFMax-1); n++ {
		last := text[len(text)-n:]
		if utf8.RuneStart(last[0]) {
			if last[0] == '\r' && n == 1 || !utf8.FullRune(last) {
				return n
			}
			return 0
		}
	}
	return 0
}

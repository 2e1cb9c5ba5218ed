package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/qlaunch/qlaunch/launcher"
)

// progress is that of VMs which are started side by side: a line for each, with the stage that it has reached. The
// lines are shown on a terminal only, and are gone when all is done. What is said meanwhile appears above them.
type progress struct {
	s       *session
	names   []string
	results []launcher.UpResult // in the order of the names
	said    io.Writer           // the session's stderr, until all is done

	mu     sync.Mutex
	stages []string
	shown  int // lines that are on the terminal, above the cursor
}

func newProgress(s *session, names []string) *progress {
	p := &progress{s: s, names: names, results: make([]launcher.UpResult, len(names)), said: s.stderr,
		stages: make([]string, len(names))}
	if s.errTerminal {
		s.stderr = &cleanWriter{w: p}
	}
	return p
}

// stage gives the function that is told of the i-th VM's stages.
func (p *progress) stage(i int) func(string) {
	return func(stage string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.stages[i] = stage
		_ = p.draw("")
	}
}

// Write writes a text above the lines.
func (p *progress) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.draw(string(text)); err != nil {
		return 0, err
	}
	return len(text), nil
}

// draw erases the lines, writes a text in their place, and draws the lines below the text, once it ends with a line
// break. The sequences are those of ECMA-48: CUU moves the cursor up, ED erases from there on.
func (p *progress) draw(text string) error {
	if !p.s.errTerminal {
		return nil
	}
	var b strings.Builder
	if p.shown > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", p.shown)
	}
	b.WriteString(text)
	p.shown = 0
	if text == "" || strings.HasSuffix(text, "\n") {
		width, height := p.size()
		for i, stage := range p.stages {
			if stage == "" || p.shown == height-1 {
				continue
			}
			line := []rune(clean(p.names[i] + ": " + stage))
			fmt.Fprintln(&b, string(line[:min(len(line), width-1)]))
			p.shown++
		}
	}
	_, err := io.WriteString(p.s.ownStderr, b.String())
	return err
}

// size returns the terminal's size. A line that wraps or scrolls away could not be erased.
func (p *progress) size() (width, height int) {
	if terminal, ok := p.s.ownStderr.(*os.File); ok {
		width, height, _ = term.GetSize(int(terminal.Fd()))
	}
	if width < 2 || height < 2 {
		return 80, 24
	}
	return width, height
}

// done erases the lines, and prints the address of each VM that has one: with its name, unless only one VM was named.
func (p *progress) done(all bool) {
	p.mu.Lock()
	clear(p.stages)
	_ = p.draw("")
	p.mu.Unlock()
	p.s.stderr = p.said
	for i, result := range p.results {
		switch {
		case !result.Address.IsValid():
		case len(p.names) == 1 && !all:
			fmt.Fprintln(p.s.stdout, result.Address)
		default:
			fmt.Fprintln(p.s.stdout, p.names[i], result.Address)
		}
	}
}

package main

import (
	"io"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress is a line for each VM that is being started, with the stage that it has reached. It is shown on a terminal
// only, and gone when all is done. What is said meanwhile goes through it, to above its lines.
type progress struct {
	s      *session
	stderr io.Writer // the session's, until all is done
	lines  *mpb.Progress
	stages []*atomic.Value
	bars   []*mpb.Bar
}

func newProgress(s *session, names []string) *progress {
	p := &progress{s: s, stderr: s.stderr}
	if !s.errTerminal {
		return p
	}
	p.lines = mpb.New(mpb.WithOutput(s.ownStderr), mpb.WithWidth(1))
	for _, name := range names {
		stage := &atomic.Value{}
		stage.Store("")
		text := func(decor.Statistics) string { return clean(name + ": " + stage.Load().(string)) }
		bar := p.lines.New(0, mpb.SpinnerStyle(), mpb.BarRemoveOnComplete(), mpb.AppendDecorators(decor.Any(text)))
		p.stages, p.bars = append(p.stages, stage), append(p.bars, bar)
	}
	s.stderr = &cleanWriter{w: p.lines}
	return p
}

// stage gives the function that is told of the i-th VM's stages.
func (p *progress) stage(i int) func(string) {
	if p.lines == nil {
		return func(string) {}
	}
	return func(stage string) { p.stages[i].Store(stage) }
}

// done takes the lines off the terminal.
func (p *progress) done() {
	if p.lines == nil {
		return
	}
	for _, bar := range p.bars {
		bar.Abort(true)
	}
	p.lines.Wait()
	p.s.stderr = p.stderr
}

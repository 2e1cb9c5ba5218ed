package main

import (
	"fmt"
	"io"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/qlaunch/qlaunch/launcher"
)

// progress is that of VMs which are started side by side: a line for each, with the stage that it has reached. The
// lines are shown on a terminal only, and are gone when all is done. What is said meanwhile appears above them.
type progress struct {
	s       *session
	names   []string
	results []launcher.UpResult // in the order of the names
	stderr  io.Writer           // the session's, until all is done
	lines   *mpb.Progress       // nil: standard error is no terminal
	stages  []*atomic.Value
	bars    []*mpb.Bar
}

func newProgress(s *session, names []string) *progress {
	p := &progress{s: s, names: names, results: make([]launcher.UpResult, len(names)), stderr: s.stderr}
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

// done takes the lines off the terminal, and prints the address of each VM that has one: with its name, unless one VM
// alone was named.
func (p *progress) done(all bool) {
	if p.lines != nil {
		for _, bar := range p.bars {
			bar.Abort(true)
		}
		p.lines.Wait()
		p.s.stderr = p.stderr
	}
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

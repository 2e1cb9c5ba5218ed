package main

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
)

// timeline says when the start of a VM reached each point.
type timeline struct {
	name  string
	began time.Time

	mu    sync.Mutex
	marks []mark
}

type mark struct {
	what string
	at   time.Time
}

// reach records the time of a point, unless it was reached before.
func (t *timeline) reach(what string) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.ContainsFunc(t.marks, func(m mark) bool { return m.what == what }) {
		t.marks = append(t.marks, mark{what, now})
	}
}

// rows writes a line for each point: when it was reached, and how long after the previous one.
func (t *timeline) rows(w io.Writer) {
	before := t.began
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range t.marks {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.name, millis(m.at.Sub(t.began)), millis(m.at.Sub(before)), m.what)
		before = m.at
	}
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }

// timelines has those of the VMs of one command, by the names that were typed.
type timelines map[string]*timeline

func newTimelines(names []string, began time.Time) timelines {
	all := timelines{}
	for _, name := range names {
		all[name] = &timeline{name: name, began: began}
	}
	return all
}

func (all timelines) print(w io.Writer, names []string) {
	if len(all) == 0 {
		return
	}
	t := newTable(w)
	fmt.Fprintln(t, "NAME\tAT\tTOOK\tSTAGE")
	for _, name := range names {
		all[name].rows(t)
	}
	_ = t.Flush() // standard error: a failure cannot be reported
}

// watch records the points and stages of a start.
func (t *timeline) watch(r *launcher.UpRequest) {
	if t == nil {
		return
	}
	stage := r.Stage
	r.Stage = func(text string) {
		stage(text)
		t.reach(text)
	}
	r.Reached = t.reach
}

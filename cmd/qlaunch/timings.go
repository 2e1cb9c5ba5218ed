package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/qlaunch/qlaunch/launcher/qemu"
)

// timeline is when the start of a VM reached what. nil is one that nobody wants to see.
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

// reach notes that something has been reached now. What was reached before has its time.
func (t *timeline) reach(what string) {
	if t == nil {
		return
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.ContainsFunc(t.marks, func(m mark) bool { return m.what == what }) {
		t.marks = append(t.marks, mark{what, now})
	}
}

// rows writes a line for each mark: when it was reached, and how long after the one before it.
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

// timelines are those of the VMs of one command, by the names that were typed.
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
	_ = t.Flush() // to standard error: there is nobody to tell
}

// staged is a function that is told of stages, which are marks too.
func (t *timeline) staged(stage func(string)) func(string) {
	return func(reached string) {
		stage(reached)
		t.reach(reached)
	}
}

// watchConsole notes the first byte on a VM's serial console: where the firmware is silent, the kernel's. It looks at
// the file that QEMU logs it to, until ctx ends; what it returns waits for that.
func (s *session) watchConsole(ctx context.Context, ref string) (wait func()) {
	nothing := func() {}
	if s.timeline == nil {
		return nothing
	}
	vm, err := s.load(ref)
	if err != nil || qemu.MakeDirs(vm) != nil {
		return nothing // the start says why
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nothing // a line less
	}
	// The directory's watch outlives the file, which the start puts aside.
	if err := watcher.Add(vm.StateDir); err != nil {
		_ = watcher.Close()
		return nothing
	}
	var watching sync.WaitGroup
	watching.Go(func() {
		defer watcher.Close()
		if written(ctx, watcher, qemu.ConsoleLog(vm)) {
			s.timeline.reach("first byte on the console")
		}
	})
	return watching.Wait
}

// written waits until a file is written to, or ctx ends.
func written(ctx context.Context, watcher *fsnotify.Watcher, file string) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case e, ok := <-watcher.Events:
			if !ok || e.Name == file && e.Has(fsnotify.Write) {
				return ok
			}
		case err := <-watcher.Errors: // one that nobody reads holds up all events behind it
			if !errors.Is(err, fsnotify.ErrEventOverflow) { // after lost events the next byte tells
				return false
			}
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// follow prints a log of a VM until the VM has stopped and all is printed. A
// user's Ctrl-C is how it mostly ends, and needs no words. It closes the tail's file.
func follow(ctx context.Context, vm vms.VM, t *tail) error {
	defer func() { _ = t.file.Close() }()
	// The directory is watched, not the file: a start puts a new file in its place.
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", t.path, err)
	}
	defer watch.Close()
	if err := watch.Add(filepath.Dir(t.path)); err != nil {
		return fmt.Errorf("watch %s: %w", t.path, err)
	}
	for {
		err := t.run(ctx, vm, watch)
		switch {
		case ctx.Err() != nil:
			return exitError(exitInterrupted)
		case errors.Is(err, qemu.ErrNotRunning):
			return t.print(ctx)
		case err != nil:
			return err
		}
	}
}

// tail is a log that is printed as it grows.
type tail struct {
	path string
	file *os.File
	out  io.Writer
}

// run prints until the QEMU that runs now has ended; it may have been started anew by then.
func (t *tail) run(ctx context.Context, vm vms.VM, watch *fsnotify.Watcher) error {
	process, err := qemu.Find(vm)
	if err != nil {
		return err
	}
	defer process.Close()
	ctx, done := process.Context(ctx)
	defer done()
	for {
		if err := t.print(ctx); err != nil && !errors.Is(err, launcher.ErrInterrupted) {
			return err
		}
		if err := qemu.TrimLogs(vm); err != nil { // nobody else may look for days
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case event := <-watch.Events:
			if event.Name == "" {
				return fmt.Errorf("watch %s: %w", t.path, fsnotify.ErrClosed)
			}
		case err := <-watch.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) { // what was lost said "look again"
				return fmt.Errorf("watch %s: %w", t.path, err)
			}
		}
	}
}

// print prints what has been written since, in this file and in one that has taken its place.
func (t *tail) print(ctx context.Context) error {
	for {
		if err := t.rewind(); err != nil {
			return err
		}
		if err := copyLog(ctx, t.out, t.file); err != nil {
			return err
		}
		if replaced, err := t.replaced(); err != nil || !replaced {
			return err
		}
	}
}

// rewind goes back to the beginning of a file that was truncated.
func (t *tail) rewind() error {
	at, err := t.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	info, err := t.file.Stat()
	if err != nil || info.Size() >= at {
		return err
	}
	_, err = t.file.Seek(0, io.SeekStart)
	return err
}

// replaced opens the file that has the log's name now, if it is another one. None is there for a moment at each start.
func (t *tail) replaced() (bool, error) {
	f, err := os.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	old, err1 := t.file.Stat()
	now, err2 := f.Stat()
	if err := errors.Join(err1, err2); err != nil || os.SameFile(old, now) {
		return false, errors.Join(err, f.Close())
	}
	err = t.file.Close()
	t.file = f
	return true, err
}

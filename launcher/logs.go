package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// LogsRequest is a request for a log of a VM.
type LogsRequest struct {
	Name   string
	QEMU   bool      // QEMU's own messages instead of the guest's console
	Follow bool      // continue with what is written from now on, until the VM has stopped
	Out    io.Writer // receives the log unfiltered; a guest can write anything into it
}

// Logs copies a log of a VM since its last start. A notice says if its beginning was trimmed. The error is
// ErrInterrupted if ctx ends first.
func Logs(ctx context.Context, e *Env, r LogsRequest) error {
	vm, err := current(e, r.Name)
	if err != nil {
		return err
	}
	path := qemu.ConsoleLog(vm)
	if r.QEMU {
		path = qemu.MessageLog(vm)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("it was never started")
	}
	if err != nil {
		return err
	}
	cut, err := qemu.SkipCut(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if cut > 0 {
		e.notice("%s: the first %d MiB are gone: a log that grows beyond 16 MiB keeps its last 8", vm.Name, cut>>20)
	}
	if r.Follow {
		return follow(ctx, vm, &tail{path: path, file: f, out: r.Out})
	}
	return errors.Join(copyLog(ctx, r.Out, f), f.Close())
}

// copyLog copies a log to its end. It checks ctx, and whether the log was trimmed, in between, since a guest that
// never stops writing would keep it busy forever.
func copyLog(ctx context.Context, w io.Writer, log *os.File) error {
	for ctx.Err() == nil {
		if _, err := qemu.SkipCut(log); err != nil {
			return err
		}
		_, err := io.CopyN(w, log, 64<<10)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return ErrInterrupted
}

// follow copies a log of a VM until the VM has stopped and everything is copied. It closes the tail's file.
func follow(ctx context.Context, vm vms.VM, t *tail) error {
	defer func() { _ = t.file.Close() }()
	// The directory is watched, not the file, since a start creates a new file.
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
			return ErrInterrupted
		case errors.Is(err, qemu.ErrNotRunning):
			return t.print(ctx)
		case err != nil:
			return err
		}
	}
}

// tail is a log that is copied while it grows.
type tail struct {
	path string
	file *os.File
	out  io.Writer
}

// run copies until the current QEMU has ended; the VM may have been started again by then.
func (t *tail) run(ctx context.Context, vm vms.VM, watch *fsnotify.Watcher) error {
	process, err := qemu.Find(vm)
	if err != nil {
		return err
	}
	defer process.Close()
	ctx, done := process.Context(ctx)
	defer done()
	for {
		if err := t.print(ctx); err != nil && !errors.Is(err, ErrInterrupted) {
			return err
		}
		if err := qemu.TrimLogs(vm); err != nil { // no other command may do it for days
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
			if !errors.Is(err, fsnotify.ErrEventOverflow) { // an overflow has the same effect as an event
				return fmt.Errorf("watch %s: %w", t.path, err)
			}
		}
	}
}

// print copies what was written since the last call, in this file and in one that has replaced it.
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

// rewind seeks to the beginning of a file that was truncated.
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

// replaced opens the file that has the log's name now, if it is another one. For a moment during each start there is
// none.
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

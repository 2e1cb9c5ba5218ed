package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// overflow changes files in a watched directory, whose events nobody reads, until the kernel has dropped some: inotify(7).
func overflow(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	files := [2]string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}
	for i := range most + 1<<13 { // fsnotify holds some thousands itself
		if i < len(files) {
			err = os.WriteFile(files[i], nil, 0o600)
		} else {
			err = os.Chmod(files[i%len(files)], 0o600) // two at a time, or the kernel makes them one event
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestLostEventsAreAReasonToLookAgain(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	if err := watch.Add(dir); err != nil {
		t.Fatal(err)
	}
	overflow(t, dir)
	idle := fmt.Errorf("no more events")
	for err == nil {
		quiet, done := context.WithTimeoutCause(ctx, time.Second, idle)
		err = nextChange(quiet, watch, dir)
		done()
	}
	if !errors.Is(err, idle) {
		t.Fatalf("the overflow ends the wait: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pid"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := nextChange(ctx, watch, dir); err != nil {
		t.Errorf("after it nothing is heard: %v", err)
	}
}

func TestAWatchedDirectoryThatIsRemovedEndsTheWait(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := filepath.Join(t.TempDir(), "web")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	if err := errors.Join(watch.Add(dir), os.Remove(dir)); err != nil {
		t.Fatal(err)
	}
	want := "watch " + dir + ": file does not exist"
	if err := nextChange(ctx, watch, dir); !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

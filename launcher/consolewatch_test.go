package launcher

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

func TestAConsoleIsWatchedBeyondLostEvents(t *testing.T) {
	dir := t.TempDir()
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	if err := watcher.Add(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range most + 1<<13 {
		other := filepath.Join(dir, strconv.Itoa(i%2))
		if i < 2 {
			err = os.WriteFile(other, nil, 0o600)
		} else {
			err = os.Chmod(other, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	log := filepath.Join(dir, "console.log")
	seen := make(chan bool)
	go func() { seen <- written(ctx, watcher, log) }()
	for {
		if err := os.WriteFile(log, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		select {
		case saw := <-seen:
			if !saw {
				t.Error("the console's first byte was not seen")
			}
			return
		case <-time.After(10 * time.Millisecond): // that one may be among those that were lost
		}
	}
}

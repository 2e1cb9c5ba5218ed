package lease

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestLostFileEventsAreAReasonToLookAgain(t *testing.T) {
	root := t.TempDir()
	lease := filepath.Join(root, "leases")
	files, err := newTree(root, []string{lease})
	if err != nil {
		t.Fatal(err)
	}
	defer files.close()
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range most + 1<<13 { // of other files, two by turns: the kernel makes one event of two that are alike
		other := filepath.Join(root, strconv.Itoa(i%2))
		if i < 2 {
			err = os.WriteFile(other, nil, 0o600)
		} else {
			err = os.Chmod(other, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w := &Waiter{files: files, updates: &subscription{}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := w.next(ctx, nil); err != nil || ctx.Err() != nil {
		t.Fatalf("the overflow is no change: %v, %v", err, ctx.Err())
	}
	if err := os.WriteFile(lease, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.next(ctx, nil); err != nil || ctx.Err() != nil {
		t.Errorf("after it nothing is heard: %v, %v", err, ctx.Err())
	}
}

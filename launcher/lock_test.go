package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestALockIsHeldByOneAtATime(t *testing.T) {
	vm := testVM(t, noNIC)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var inside, most atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			lock, err := Acquire(ctx, vm)
			if err != nil {
				t.Error(err)
				return
			}
			if n := inside.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(2 * time.Millisecond) // long enough for another to slip in, if it could
			inside.Add(-1)
			if err := lock.Release(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most.Load() != 1 {
		t.Errorf("%d were inside at once", most.Load())
	}
}

func TestALockThatIsNotGivenUpNamesItsHolder(t *testing.T) {
	vm := testVM(t, noNIC)
	lock, err := Acquire(t.Context(), vm)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = Acquire(ctx, vm)
	want := fmt.Sprintf("another command is at work on this VM: pid %d holds %s: context deadline exceeded", os.Getpid(), filepath.Join(vm.RunDir, "lock"))
	if !errors.Is(err, ErrBusy) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestALockFileThatWasRemovedIsNobodysLock(t *testing.T) {
	vm := testVM(t, noNIC)
	first, err := Acquire(t.Context(), vm)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Release()
	if err := os.Remove(filepath.Join(vm.RunDir, "lock")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	second, err := Acquire(ctx, vm)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Release(); err != nil {
		t.Fatal(err)
	}
}

package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/qlaunch/qlaunch/vms"
)

func TestALockIsHeldByOneAtATime(t *testing.T) {
	vm := testVM(t, noNIC)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var inside, most atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			lock, err := Acquire(ctx, vm, CommandUp)
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
	lock, err := Acquire(t.Context(), vm, CommandDown)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	want := fmt.Sprintf("another command is at work on this VM: qlaunch down (pid %d)", os.Getpid())
	if err := acquireInVain(t, vm); !errors.Is(err, ErrBusy) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestAHolderThatIsNotThereIsNotNamed(t *testing.T) {
	for _, text := range []string{"", "1 up\n", "999999999 up\n", "-1 up\n", "up\n", strings.Repeat("1", 1<<20), fmt.Sprintf("%d \x1b[2J\n", os.Getpid())} {
		vm := testVM(t, noNIC)
		lock, err := Acquire(t.Context(), vm, CommandUp)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(lockFile(vm), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		const want = "another command is at work on this VM"
		if err := acquireInVain(t, vm); !errors.Is(err, ErrBusy) || err.Error() != want {
			t.Errorf("%.20q: got  %v\nwant %s", text, err, want)
		}
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
		if h, ok := LockHolder(vm); ok {
			t.Errorf("%.20q: released, and held by %v", text, h)
		}
	}
}

func acquireInVain(t *testing.T, vm vms.VM) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	lock, err := Acquire(ctx, vm, CommandUp)
	if err == nil {
		t.Fatalf("got the lock: %v", lock.Release())
	}
	return err
}

func TestALockFileThatWasRemovedIsNobodysLock(t *testing.T) {
	vm := testVM(t, noNIC)
	first, err := Acquire(t.Context(), vm, CommandUp)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Release()
	if err := os.Remove(lockFile(vm)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	second, err := Acquire(ctx, vm, CommandUp)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Release(); err != nil {
		t.Fatal(err)
	}
}

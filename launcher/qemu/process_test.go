package qemu

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTheLockTellsNotTheFile(t *testing.T) {
	vm := testVM(t, noNIC)
	if err := os.WriteFile(PIDFile(vm), []byte("1\n"), 0o600); err != nil { // a stale file with a stranger's number
		t.Fatal(err)
	}
	if _, err := Find(vm); !errors.Is(err, ErrNotRunning) {
		t.Errorf("error %v, want ErrNotRunning", err)
	}
}

func TestAProcessIsFoundWhileItLivesAndItsEndIsSeenAtOnce(t *testing.T) {
	vm := testVM(t, noNIC)
	p := start(t, vm)
	found, err := Find(vm)
	if err != nil || found.PID != p.PID {
		t.Fatalf("%+v, %v; want pid %d", found, err, p.PID)
	}
	defer found.Close()
	if age := time.Since(found.Started); age < 0 || age > time.Minute {
		t.Errorf("started %s ago", age)
	}
	ctx, done := found.Context(t.Context())
	defer done()
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, ErrEnded) {
		t.Errorf("cause %v, want ErrEnded", err)
	}
	if err := found.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := Find(vm); !errors.Is(err, ErrNotRunning) {
		t.Errorf("afterwards: %v", err)
	}
	if err := found.Signal(unix.SIGTERM); err != nil {
		t.Errorf("a signal to one that has ended: %v", err)
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	p, err := open(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if err := p.Wait(ctx); !errors.Is(err, why) {
		t.Errorf("error %v, want the cause", err)
	}
}

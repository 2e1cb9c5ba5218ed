package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/qlaunch/qlaunch/qmp/agent"
)

// In these guests nothing runs: QEMU alone has the channel.

func TestAGuestWithoutAnAgentIsToldAtOnce(t *testing.T) {
	vm := testVM(t, noNIC)
	start(t, vm)
	if err := AgentListens(t.Context(), vm); !errors.Is(err, ErrNoAgent) {
		t.Errorf("%v, want ErrNoAgent", err)
	}
}

func TestAnAgentIsWaitedForUntilTheDeadline(t *testing.T) {
	vm := testVM(t, noNIC)
	start(t, vm)
	for range 3 { // each leaves the channel to the next
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := OpenAgent(ctx, vm)
		cancel()
		if !errors.Is(err, agent.ErrSilent) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want ErrSilent at the deadline", err)
		}
	}
}

func TestWhoTalksToTheAgentIsWaitedForAndNamed(t *testing.T) {
	vm := testVM(t, noNIC)
	path := vm.RunDir + "/" + agentLockName
	lock, err := lockAgent(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = OpenAgent(ctx, vm)
	want := fmt.Sprintf("another command is talking to the guest agent: pid %d", os.Getpid())
	if !errors.Is(err, ErrAgentTaken) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	got := make(chan error, 1)
	go func() {
		second, err := lockAgent(t.Context(), path)
		if err == nil {
			err = second.Release()
		}
		got <- err
	}()
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

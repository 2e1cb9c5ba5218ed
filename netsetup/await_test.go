package netsetup

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

func TestABridgeIsAwaitedUntilItIsUp(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- AwaitBridge(ctx, CheckQuery{Bridge: "virbr0"}) }()
	addVeth(t, "eth7", 0) // a change, and not the one that is waited for
	br := addBridge(t, "virbr0", false)
	select {
	case err := <-done:
		t.Errorf("it is down, and the wait has ended: %v", err)
	default:
	}
	must(t, netlink.LinkSetUp(br))
	if err := <-done; err != nil {
		t.Errorf("the bridge is up: %v", err)
	}
	if err := AwaitBridge(ctx, CheckQuery{Bridge: "virbr0"}); err != nil {
		t.Errorf("the bridge was up before: %v", err)
	}
}

func TestTheWaitForABridgeEndsWithItsContext(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	late := errors.New("late")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { done <- AwaitBridge(ctx, CheckQuery{}) }()
	cancel(late)
	if err := <-done; !errors.Is(err, late) {
		t.Errorf("%v, want %v", err, late)
	}
}

func TestOnlyABridgeThatMayComeIsWaitedFor(t *testing.T) {
	of := func(causes ...error) error {
		none := &NoneFits{}
		for _, cause := range causes {
			none.Reasons = append(none.Reasons, &Failure{Cause: cause})
		}
		return none
	}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{&Failure{Cause: ErrNoBridge}, true},
		{&Failure{Cause: ErrBridgeDown}, true},
		{&Failure{Cause: ErrDenied}, false},
		{&Failure{Cause: ErrACLUnreadable}, false},
		{of(ErrDenied, ErrDenied), true},
		{of(ErrDenied, ErrBridgeDown), true},
		{of(ErrACLUnreadable, ErrDenied), false},
	} {
		if got := NoBridgeYet(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

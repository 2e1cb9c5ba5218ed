package netsetup

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// AwaitBridge waits for a bridge that is about to come, as when a host boots: until the checks do not fail for the
// lack of one that is up. What they say then is for the caller to ask. When ctx ends first the error is its cause.
func AwaitBridge(ctx context.Context, q CheckQuery) error {
	updates, done := make(chan netlink.LinkUpdate, 16), make(chan struct{})
	// A subscription that fails, as when changes come faster than they are read, closes updates.
	if err := netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{ErrorCallback: func(error) {}}); err != nil {
		return fmt.Errorf("subscribe to links: %w", err)
	}
	defer func() {
		close(done)
		for range updates {
			continue
		}
	}()
	for NoBridgeYet(Check(ctx, q).Err()) {
		select {
		case _, open := <-updates:
			if !open {
				return errors.New("subscribe to links: it has ended")
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return context.Cause(ctx) // a check that was broken off says nothing
}

// NoBridgeYet tells an error that another bridge, or one that is set up, would mend: there is none, it is down, or, for
// a NIC that takes any, those that are there are not for guests. An ACL that cannot be read says nothing about bridges.
func NoBridgeYet(err error) bool {
	_, noneFits := errors.AsType[*NoneFits](err)
	missing := errors.Is(err, ErrNoBridge) || errors.Is(err, ErrBridgeDown)
	return missing || noneFits && errors.Is(err, ErrDenied) && !errors.Is(err, ErrACLUnreadable)
}

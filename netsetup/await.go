package netsetup

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// AwaitBridge waits until the checks no longer fail for the lack of a bridge that is up, as while a host boots. They
// may still fail for another reason: the caller runs them again. If ctx ends first, the error is the cause of ctx.
func AwaitBridge(ctx context.Context, q CheckQuery) error {
	updates, done := make(chan netlink.LinkUpdate, 16), make(chan struct{})
	// When the subscription fails, for example because changes arrive faster than they are read, updates is closed.
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
	return context.Cause(ctx) // the result of an interrupted check means nothing
}

// NoBridgeYet reports whether a new bridge, or one that comes up, would remove the error: there is no bridge, it is
// down, or, for a NIC that takes any bridge, none of those present is for guests. An unreadable ACL is no such error.
func NoBridgeYet(err error) bool {
	_, noneFits := errors.AsType[*NoneFits](err)
	missing := errors.Is(err, ErrNoBridge) || errors.Is(err, ErrBridgeDown)
	return missing || noneFits && errors.Is(err, ErrDenied) && !errors.Is(err, ErrACLUnreadable)
}

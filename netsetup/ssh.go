package netsetup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// WaitSSH waits until an ssh server answers with its greeting (RFC 4253, section 4.2) at an address, or ctx ends. The
// error then is ctx's cause and what the last attempt met.
//
// A server that is not there yet makes no event that could be waited for, so this one asks again: at first at once,
// then every half second. An attempt that gets no answer at all ends with ctx, or after two seconds.
func WaitSSH(ctx context.Context, at netip.AddrPort) error {
	const shortest, longest = 10 * time.Millisecond, 500 * time.Millisecond
	for pause := shortest; ; pause = min(2*pause, longest) {
		err := greetSSH(ctx, at)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", lastWord(err), context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

func greetSSH(ctx context.Context, at netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", at.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	greeting := make([]byte, 4)
	if _, err := io.ReadFull(conn, greeting); err != nil {
		return err
	}
	if string(greeting) != "SSH-" {
		return fmt.Errorf("answers %q, which is not ssh's greeting", greeting)
	}
	return nil
}

// lastWord is the kernel's answer to a connection, without the words around it.
func lastWord(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

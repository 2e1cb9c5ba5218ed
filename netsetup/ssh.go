package netsetup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
)

// A NoSSHError says that no ssh server answered before the wait was given up.
type NoSSHError struct {
	At  netip.AddrPort
	Met error // what the last attempt met: "connection refused", "no answer"
	Err error // the context's cause
}

// Error does not name the context's cause: who set the deadline does.
func (e *NoSSHError) Error() string { return fmt.Sprintf("no ssh at %s: %v", e.At, e.Met) }

// Unwrap gives the context's cause.
func (e *NoSSHError) Unwrap() error { return e.Err }

// WaitSSH waits until an ssh server answers with its greeting (RFC 4253, section 4.2) at an address, or ctx ends. The
// error then is a *[NoSSHError].
//
// A server that is not there yet makes no event that could be waited for, so this one asks again: at first at once,
// then every half second. An attempt that gets no answer at all ends with ctx, or after two seconds; the first ones
// sooner. A lease is known here before the guest has taken its address on, so that the first packet often finds
// nobody, and the kernel would not send another for a second (RFC 6298, section 2).
func WaitSSH(ctx context.Context, at netip.AddrPort) error {
	const shortest, longest = 10 * time.Millisecond, 500 * time.Millisecond
	pause, patience := shortest, firstConnect
	for ; ; pause, patience = min(2*pause, longest), min(2*patience, greetDeadline) {
		err := greetSSH(ctx, at, patience)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return &NoSSHError{At: at, Met: met(err), Err: context.Cause(ctx)}
		case <-time.After(pause):
		}
	}
}

// How long an attempt may take, and the first one's connection.
const (
	greetDeadline = 2 * time.Second
	firstConnect  = 50 * time.Millisecond
)

// greetSSH is one attempt, to be connected within its patience: a server that has accepted has the whole deadline.
func greetSSH(ctx context.Context, at netip.AddrPort, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, greetDeadline)
	defer cancel()
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", at.String())
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

// met is what an attempt met, in the kernel's words without those around them.
func met(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer")
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		return call.Err
	}
	return err
}

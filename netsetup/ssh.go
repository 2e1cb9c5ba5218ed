package netsetup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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

// GreetSSH waits until an ssh server answers with its greeting (RFC 4253, section 4.2) at an address, or ctx ends; the
// error then is a *[NoSSHError]. It gives the connection, as [DialSSH] makes them, with the greeting still to be read:
// a server that sees connections come and go without a login holds that against the host from some number on
// (PerSourcePenalties in sshd_config(5), OpenSSH 9.8).
//
// A server that is not there yet makes no event that could be waited for, so this one asks again: at first at once,
// then every half second. An attempt that gets no answer at all ends with ctx, or after two seconds; the first ones
// sooner. A lease is known here before the guest has taken its address on, so that the first packet often finds
// nobody, and the kernel would not send another for a second (RFC 6298, section 2).
func GreetSSH(ctx context.Context, at netip.AddrPort) (*net.TCPConn, error) {
	const shortest, longest = 10 * time.Millisecond, 500 * time.Millisecond
	pause, patience := shortest, firstConnect
	for ; ; pause, patience = min(2*pause, longest), min(2*patience, greetDeadline) {
		conn, err := greetSSH(ctx, at, patience)
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, &NoSSHError{At: at, Met: met(err), Err: context.Cause(ctx)}
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
func greetSSH(ctx context.Context, at netip.AddrPort, patience time.Duration) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, greetDeadline)
	defer cancel()
	dialing, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := DialSSH(dialing, at)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	greeting, err := peek(conn, len(sshGreeting))
	if err == nil && string(greeting) != sshGreeting {
		err = fmt.Errorf("answers %q, which is not ssh's greeting", greeting)
	}
	if err == nil && !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// sshGreeting is what an ssh server's first line begins with.
const sshGreeting = "SSH-"

// peek waits for the first bytes of a connection, and leaves them to be read (recv(2), MSG_PEEK; socket(7),
// SO_RCVLOWAT).
func peek(conn *net.TCPConn, size int) ([]byte, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var n int
	var met error
	text := make([]byte, size)
	lowWater := func(bytes int) {
		_ = raw.Control(func(fd uintptr) {
			met = errors.Join(met, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, bytes))
		})
	}
	lowWater(size)
	err = raw.Read(func(fd uintptr) bool {
		var recv error
		n, _, recv = unix.Recvfrom(int(fd), text, unix.MSG_PEEK)
		if errors.Is(recv, unix.EAGAIN) {
			return false
		}
		met = errors.Join(met, recv)
		return true
	})
	lowWater(1)
	if err = errors.Join(err, met); err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	return text[:max(n, 0)], err // -1 beside an error
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

// sshProbe is how long a connection is idle before the guest is asked whether it still knows it, and how long until it
// is asked again.
const sshProbe = 15 * time.Second

// DialSSH connects to a guest's ssh server. The error is the context's, or what the connection met.
//
// The connection survives a guest that does not answer, for as long as that may be: one that is paused, or slow. Linux
// would give up after 15 minutes with data on the way and, with Go's defaults, after 150 s without (tcp(7):
// tcp_retries2, TCP_KEEPCNT); TCP_USER_TIMEOUT takes the place of both. A guest that has booted anew answers the next
// probe with a reset.
func DialSSH(ctx context.Context, at netip.AddrPort) (*net.TCPConn, error) {
	dialer := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: sshProbe, Interval: sshProbe},
		Control: func(_, _ string, socket syscall.RawConn) error {
			var err error
			set := socket.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, math.MaxInt32)
			})
			return errors.Join(set, err)
		},
	}
	conn, err := dialer.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

package netsetup

import (
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sshProbe is how long a connection is idle before the guest is asked whether it still knows it, and how long until it is
// asked again.
const sshProbe = 15 * time.Second

// DialSSH connects to a guest's ssh server. The error is the context's, or what the connection met.
//
// The connection survives a guest that does not answer, for as long as that may be: one that is paused, or slow. Linux would
// give up after 15 minutes with data on the way and, with Go's defaults, after 150 s without (tcp(7): tcp_retries2,
// TCP_KEEPCNT); TCP_USER_TIMEOUT takes the place of both. A guest that has booted anew answers the next probe with a reset.
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

package netsetup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestGreetSSHReturnsWhenAServerGreets(t *testing.T) {
	l := listenTCP(t)
	at := netip.MustParseAddrPort(l.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// The first connection breaks off, as that of a guest whose sshd is just starting; the second is greeted.
	go func() {
		for _, greeting := range []string{"", "SSH-2.0-test\r\n"} {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(greeting))
			_ = conn.Close()
		}
	}()
	if err := greet(ctx, at); err != nil {
		t.Fatal(err)
	}
}

func TestGreetSSHEndsWithItsContextAndSaysWhatItMet(t *testing.T) {
	closed := listenTCP(t)
	_ = closed.Close()
	talker := listenTCP(t)
	go func() {
		for {
			conn, err := talker.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("220 mail\r\n"))
			_ = conn.Close()
		}
	}()
	resetter := listenTCP(t)
	go func() {
		for {
			conn, err := resetter.Accept()
			if err != nil {
				return
			}
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	}()
	over := errors.New("over")
	for want, l := range map[string]net.Listener{
		"connection refused":                          closed,
		`answers "220 ", which is not ssh's greeting`: talker,
		"connection reset by peer":                    resetter,
	} {
		at := netip.MustParseAddrPort(l.Addr().String())
		ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, over)
		err := greet(ctx, at)
		cancel()
		if want := fmt.Sprintf("no ssh at %s: %s", at, want); !errors.Is(err, over) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// A server that takes the connection and keeps silent must not hold the wait beyond its context.
func TestGreetSSHIsNotHeldByASilentServer(t *testing.T) {
	l := listenTCP(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if _, err := l.Accept(); err == nil {
			cancel()
		}
	}()
	at := netip.MustParseAddrPort(l.Addr().String())
	err := greet(ctx, at)
	if want := fmt.Sprintf("no ssh at %s: no answer", at); !errors.Is(err, context.Canceled) || err.Error() != want {
		t.Errorf("got  %v\nwant %s, for context.Canceled", err, want)
	}
}

// greet is GreetSSH for a test that does not go on with the connection.
func greet(ctx context.Context, at netip.AddrPort) error {
	conn, err := GreetSSH(ctx, at)
	if err != nil {
		return err
	}
	return conn.Close()
}

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

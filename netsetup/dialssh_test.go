package netsetup

import (
	"math"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestASessionOutlivesASilentGuest(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	conn, err := DialSSH(t.Context(), netip.MustParseAddrPort(server.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for option, want := range map[int]int{unix.TCP_USER_TIMEOUT: math.MaxInt32, unix.TCP_KEEPIDLE: 15, unix.TCP_KEEPINTVL: 15} {
		if err := raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option); err != nil || got != want {
				t.Errorf("option %d: %d, %v; want %d", option, got, err, want)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
}

package launcher

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/qlaunch/qlaunch/netsetup/lease"
	"github.com/qlaunch/qlaunch/vms"
)

// The sshd answers at an address that the sources come to hold after the first one, which is nobody's: 127.0.0.2 has no
// listener on the port.
func TestSSHIsTriedAtAnAddressThatComesLater(t *testing.T) {
	sshd := serveSSH(t, "127.0.0.1:0")
	first, second := netip.MustParseAddr("127.0.0.2"), sshd.Addr()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	trial := newSSHTrial(vms.VM{SSH: vms.SSH{Port: sshd.Port()}}, stop)
	trial.try(ctx, 0, first)
	trial.tryAll(ctx, 0, []lease.Address{{IP: first}, {IP: second}, {IP: netip.MustParseAddr("::1")}})
	trial.all.Wait()
	answered, conn := trial.best()
	if answered != second {
		t.Fatalf("%v answered, and the error is %v", answered, trial.err)
	}
	defer conn.Close()
	greeting := make([]byte, 8)
	if _, err := io.ReadFull(conn, greeting); err != nil || string(greeting) != "SSH-2.0-" {
		t.Errorf("the connection has %q, %v", greeting, err)
	}
	if trial.tried[netip.MustParseAddr("::1")] != nil {
		t.Error("IPv6 is tried beside IPv4")
	}
}

// The second NIC's sshd answers at once, the first NIC's a moment later, or never.
func TestTheFirstNICThatSSHAnswersAtIsTheVMs(t *testing.T) {
	for _, early := range []bool{true, false} {
		second := serveSSH(t, "127.0.0.1:0")
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		trial := newSSHTrial(vms.VM{SSH: vms.SSH{Port: second.Port()}}, stop)
		first := netip.MustParseAddr("127.0.0.2")
		trial.try(ctx, 0, first)
		trial.try(ctx, 1, second.Addr())
		want := second.Addr()
		if early {
			want = first
			time.AfterFunc(sshSettles/10, func() { serveSSH(t, netip.AddrPortFrom(first, second.Port()).String()) })
		}
		trial.all.Wait()
		stop()
		answered, conn := trial.best()
		if answered != want {
			t.Fatalf("%v answered, want %v", answered, want)
		}
		_ = conn.Close()
	}
}

// serveSSH greets whoever comes until the test ends.
func serveSSH(t *testing.T, at string) netip.AddrPort {
	sshd, err := net.Listen("tcp", at)
	if err != nil {
		t.Error(err)
		return netip.AddrPort{}
	}
	t.Cleanup(func() { _ = sshd.Close() })
	go func() {
		for {
			conn, err := sshd.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("SSH-2.0-test\r\n"))
			_ = conn.Close()
		}
	}()
	return netip.MustParseAddrPort(sshd.Addr().String())
}

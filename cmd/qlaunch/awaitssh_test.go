package main

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/qlaunch/qlaunch/netsetup/leases"
	"github.com/qlaunch/qlaunch/vms"
)

// The sshd answers at an address that the sources come to hold after the first one, which is nobody's: 127.0.0.2 has no
// listener on the port.
func TestSSHIsTriedAtAnAddressThatComesLater(t *testing.T) {
	sshd, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sshd.Close()
	go func() { // ends with the listener
		for {
			conn, err := sshd.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("SSH-2.0-test\r\n"))
			_ = conn.Close()
		}
	}()
	first, second := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	port := netip.MustParseAddrPort(sshd.Addr().String()).Port()
	trial := &sshTrial{vm: vms.VM{SSH: vms.SSH{Port: port}}, stop: stop, tried: map[netip.Addr]bool{}}
	trial.try(ctx, first)
	trial.tryAll(ctx, []leases.Address{{IP: first}, {IP: second}, {IP: netip.MustParseAddr("::1")}})
	trial.all.Wait()
	if trial.answered != second {
		t.Errorf("%v answered, and the error is %v", trial.answered, trial.err)
	}
	if trial.tried[netip.MustParseAddr("::1")] {
		t.Error("IPv6 is tried beside IPv4")
	}
}

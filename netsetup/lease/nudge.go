package lease

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// nudge has the kernel ask after the addresses that are in doubt; it does not by itself, so a guest that starts again with
// its fixed address, or one whose lease has ended because its server did, and has nothing to say to the host, would never
// be found. Who sends to an address has the kernel look for it, and who sends to an entry that is STALE has it ask the
// MAC that it knows (RFC 4861, section 7.3.3; the same for ARP): after delay_first_probe_time, 5 s. With the answer the
// entry is REACHABLE and confirmed, or it goes. The subscription tells of both.
func (w *Waiter) nudge(ctx context.Context, reports []Report) {
	for _, a := range askable(reports) {
		if conn := sendNothing(ctx, w.link.name, a.IP); conn != nil {
			_ = conn.Close()
		}
	}
}

// askable are the addresses in the reports that are in doubt, and that the guest could settle.
func askable(reports []Report) []Address {
	var doubtful []Address
	for _, r := range reports {
		for _, a := range r.Addresses {
			if a.askable() {
				doubtful = append(doubtful, a)
			}
		}
	}
	return doubtful
}

// sendNothing sends an empty datagram to the discard port (RFC 863) by way of a link. Whether it can be sent does not
// matter: nil, and all is as before.
func sendNothing(ctx context.Context, link string, ip netip.Addr) net.Conn {
	const discard = 9
	onto := func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.BindToDevice(int(fd), link) })
	}
	d := net.Dialer{Control: onto, Timeout: time.Second}
	conn, err := d.DialContext(ctx, "udp", net.JoinHostPort(ip.String(), fmt.Sprint(discard)))
	if err != nil {
		return nil
	}
	_, _ = conn.Write(nil)
	return conn
}

// answers waits for a refusal of what was sent: it comes from whoever has the address, at the MAC that the kernel sent it
// to. A guest that drops such packets says nothing.
func answers(ctx context.Context, conn net.Conn) bool {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	_, err := conn.Read(make([]byte, 1))
	return err == nil || errors.Is(err, unix.ECONNREFUSED)
}

package leases

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// nudge has the kernel ask after the addresses that it knows from before the start and is not sure of any more: it does
// not by itself, so a guest that starts again with its fixed address, and has nothing to say to the host, would never be
// found. Who sends to an entry that is STALE has the kernel ask for it (RFC 4861, section 7.3.3; the same for ARP): after
// delay_first_probe_time, 5 s, a question to the guest's MAC, and with the answer the entry is REACHABLE and confirmed,
// or it goes. The subscription tells of both.
func (w *Waiter) nudge(ctx context.Context, reports []Report) {
	for _, r := range reports {
		for _, a := range r.Addresses {
			if a.Source == Neighbours && a.Freshness == Older && a.Neighbour == "STALE" &&
				a.Refused == "" && !a.IP.IsLinkLocalUnicast() {
				sendNothing(ctx, w.link.name, a.IP.String())
			}
		}
	}
}

// sendNothing sends an empty datagram to the discard port (RFC 863) by way of a link. What the guest makes of it does
// not matter, nor whether it can be sent: then all is as before.
func sendNothing(ctx context.Context, link, ip string) {
	const discard = 9
	onto := func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.BindToDevice(int(fd), link) })
	}
	d := net.Dialer{Control: onto, Timeout: time.Second}
	conn, err := d.DialContext(ctx, "udp", net.JoinHostPort(ip, fmt.Sprint(discard)))
	if err != nil {
		return
	}
	_, _ = conn.Write(nil)
	_ = conn.Close()
}

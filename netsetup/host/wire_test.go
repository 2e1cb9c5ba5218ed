package host

import (
	"bytes"
	"errors"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A nic is the far end of a cable to the host: a guest's NIC, or a neighbour's on the LAN. The host does not see it,
// so that what is sent and received there is what a test says.
type nic struct {
	t    *testing.T
	mac  net.HardwareAddr
	fd   int
	link int
}

// cable lays one: the host's end is named near.
func cable(t *testing.T, near string, mac net.HardwareAddr) (nic, netlink.Link) {
	t.Helper()
	far := "far-" + near
	attrs := netlink.NewLinkAttrs()
	attrs.Name = near
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: far, PeerHardwareAddr: mac}))
	_, err := run(t.Context(), `table netdev far { chain `+far+` { type filter hook ingress device "`+far+`" priority 0; policy drop; }; }`, "nft", "-f", "-")
	must(t, errors.Join(err, os.WriteFile(sysctlPath("net", "ipv6", "conf", far, "disable_ipv6"), []byte("1"), 0o644)))
	var links []netlink.Link
	for _, name := range []string{far, near} {
		link, err := netlink.LinkByName(name)
		must(t, err)
		must(t, netlink.LinkSetUp(link))
		links = append(links, link)
	}
	awaitCarrier(t, near)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { must(t, unix.Close(fd)) })
	n := nic{t: t, mac: mac, fd: fd, link: links[0].Attrs().Index}
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in the network's order
	must(t, errors.Join(
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: n.link}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}),
	))
	return n, links[1]
}

// awaitCarrier waits until the kernel has noticed that a link has its other end: a bridge lets nothing through a port before that.
func awaitCarrier(t *testing.T, name string) {
	t.Helper()
	updates, done := make(chan netlink.LinkUpdate), make(chan struct{})
	defer close(done)
	must(t, netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{ListExisting: true}))
	for {
		select {
		case u := <-updates:
			if u.Attrs().Name == name && u.Attrs().OperState == netlink.OperUp {
				return
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s has no carrier", name)
		}
	}
}

func (n nic) send(frame []byte) {
	n.t.Helper()
	must(n.t, unix.Sendto(n.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: n.link}))
}

// last is the text of a frame that is let through, sent behind the one in question.
const last = "the end of it"

// receives says whether a frame with a text in it comes in before the one that has end in it. On one processor the kernel keeps frames in the
// order in which they were sent, so nothing has to be waited for.
func (n nic) receives(text, end string) bool {
	n.t.Helper()
	found := false
	for frame := make([]byte, 2048); ; {
		size, from, err := unix.Recvfrom(n.fd, frame, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			n.t.Fatalf("%q, before %q: %v", text, end, err)
		}
		if l, ok := from.(*unix.SockaddrLinklayer); ok && l.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		found = found || bytes.Contains(frame[:size], []byte(text))
		if bytes.Contains(frame[:size], []byte(end)) {
			return found
		}
	}
}

// onOneProcessor keeps the test, and what the kernel does for it, on one processor.
func onOneProcessor(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	var have, one unix.CPUSet
	must(t, unix.SchedGetaffinity(0, &have))
	for cpu := 0; one.Count() == 0; cpu++ {
		if have.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	must(t, unix.SchedSetaffinity(0, &one))
}

// A lan is a host that is set up, with two guests on its bridge and one neighbour on another network of its own. Somebody has given both networks
// IPv6 as well.
type lan struct {
	*testing.T
	a, b, neighbour nic
	host, uplink    net.HardwareAddr // of the host's bridge, and of its end of the other network
	leases          uint32           // how many have been asked for
}

const (
	hostIP, aIP, bIP      = "192.168.123.1", "192.168.123.11", "192.168.123.12"
	host6, a6, b6         = "fd01::1", "fd01::11", "fd01::12"
	uplinkIP, neighbourIP = "198.51.100.1", "198.51.100.9"
	uplink6, neighbour6   = "fd02::1", "fd02::9"
)

// newLAN needs the host to be set up. rp_filter is off, with which the kernel itself would drop some of what the rules are to drop.
func newLAN(t *testing.T) *lan {
	t.Helper()
	onOneProcessor(t)
	bridge, err := netlink.LinkByName("qlbr0")
	must(t, err)
	l := &lan{T: t, host: bridge.Attrs().HardwareAddr}
	var near netlink.Link
	for i, guest := range []*nic{&l.a, &l.b} {
		*guest, near = cable(t, "tap-"+string("ab"[i]), net.HardwareAddr{0x52, 0x54, 0, 0, 0, byte(0xa + i)})
		must(t, netlink.LinkSetMaster(near, bridge))
	}
	l.neighbour, near = cable(t, "lan0", net.HardwareAddr{0x52, 0x54, 0, 0, 0, 0xc})
	l.uplink = near.Attrs().HardwareAddr
	for link, ip := range map[string]netlink.Link{uplinkIP + "/24": near, uplink6 + "/64": near, host6 + "/64": bridge} {
		address, err := netlink.ParseAddr(link)
		must(t, err)
		address.Flags = unix.IFA_F_NODAD
		must(t, netlink.AddrAdd(ip, address))
	}
	for ip, at := range map[string]struct {
		link netlink.Link
		nic  nic
	}{aIP: {bridge, l.a}, a6: {bridge, l.a}, bIP: {bridge, l.b}, b6: {bridge, l.b}, neighbourIP: {near, l.neighbour}, neighbour6: {near, l.neighbour}} {
		must(t, netlink.NeighSet(&netlink.Neigh{LinkIndex: at.link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.ParseIP(ip), HardwareAddr: at.nic.mac}))
	}
	for name, value := range map[string]string{
		"ipv4/conf/all/rp_filter": "0", "ipv4/conf/lan0/rp_filter": "0", "ipv4/conf/qlbr0/rp_filter": "0", "ipv6/conf/all/forwarding": "1",
	} {
		must(t, os.WriteFile(sysctlPath("net", name), []byte(value), 0o644))
	}
	return l
}

// fromHost sends a datagram of the host's own to an address.
func (l *lan) fromHost(ip, text string) {
	l.Helper()
	c, err := net.Dial("udp", net.JoinHostPort(ip, "9"))
	must(l.T, err)
	_, err = c.Write([]byte(text))
	must(l.T, errors.Join(err, c.Close()))
}

// A service of the host's has a port on each of its addresses.
type service struct {
	t *testing.T
	c *net.UDPConn
}

// service takes connections on a port, and keeps datagrams.
func (l *lan) service(port int) service {
	l.Helper()
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{Port: port})
	must(l.T, err)
	udp, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
	must(l.T, err)
	l.Cleanup(func() { must(l.T, errors.Join(tcp.Close(), udp.Close())) })
	return service{l.T, udp}
}

func (s service) send(ip string, port int, text string) error {
	_, err := s.c.WriteTo([]byte(text), &net.UDPAddr{IP: net.ParseIP(ip), Port: port})
	return err
}

// holds says whether a datagram with that text has come in, and forgets all that have.
func (s service) holds(text string) bool {
	s.t.Helper()
	raw, err := s.c.SyscallConn()
	must(s.t, err)
	found := false
	must(s.t, raw.Read(func(fd uintptr) bool {
		for data := make([]byte, 2048); ; {
			n, _, err := unix.Recvfrom(int(fd), data, unix.MSG_DONTWAIT)
			if err != nil {
				return true
			}
			found = found || string(data[:n]) == text
		}
	}))
	return found
}

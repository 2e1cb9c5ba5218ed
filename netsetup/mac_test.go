package netsetup

import (
	"bytes"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// This process stands in for a guest's QEMU: it holds the tap, and what it writes to it comes in through that port.
func TestAMACOnAnotherPortThanItsOwnIsADuplicate(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	write(t, DefaultACL, "allow br0\n")
	br := addBridge(t, "br0", true)
	tap, err := OpenTap(t.Context(), realHelper, "br0")
	must(t, err)
	defer tap.File.Close()
	addVeth(t, "other0", br.Attrs().Index)
	peer, err := netlink.LinkByName("other0-peer")
	must(t, err)
	must(t, netlink.LinkSetUp(peer))
	mac := net.HardwareAddr{0x52, 0x54, 0, 0x53, 0x52, 0xb1}
	frame := slices.Concat(bytes.Repeat([]byte{0xff}, 6), mac, make([]byte, 48))

	const good, taken = "ok: no other port uses this MAC", `bridge "br0": a guest's MAC is another's: 52:54:00:53:52:b1 was seen on `
	check := func(when, ofNone, ofThis, impostor string) {
		t.Helper()
		for pid, want := range map[int]string{0: ofNone, os.Getpid(): ofThis, 1 << 30: "skipped: the taps of pid 1073741824: not readable"} {
			result := checkMACs(t.Context(), CheckQuery{MACs: []net.HardwareAddr{mac}, PID: pid}, &Report{Bridge: Bridge{Name: "br0", Index: br.Attrs().Index}})
			if got := result.Level.String() + ": " + result.Evidence; got != want {
				t.Errorf("%s, pid %d: %s, want %s", when, pid, got, want)
			}
		}
		got := ""
		if err := DuplicateMAC("br0", mac, os.Getpid()); err != nil {
			got = err.Error()
		}
		if got != impostor {
			t.Errorf("%s: %q, want %q", when, got, impostor)
		}
	}
	check("before the first frame", good, good, "")

	comesInThrough(t, br, mac, tap.Name, func() error {
		const virtioHeader = 10 // linux/virtio_net.h, struct virtio_net_hdr
		_, err := tap.File.Write(append(make([]byte, virtioHeader), frame...))
		return err
	})
	check("after the guest's", "warn: "+taken+tap.Name, good, "")

	comesInThrough(t, br, mac, "other0", func() error { return sendFrame(peer, frame) })
	text := taken + "other0, and its own is on " + tap.Name
	check("after another's", "warn: "+taken+"other0", "warn: "+text, text)
	if err := DuplicateMAC("nosuch", mac, os.Getpid()); err != nil {
		t.Error(err)
	}
}

// comesInThrough sends a frame until the bridge has learned the port: a link that has just come up may drop the first.
func comesInThrough(t *testing.T, br netlink.Link, mac net.HardwareAddr, port string, send func() error) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		must(t, send())
		got, err := seenOn(br.Attrs().Index, mac)
		must(t, err)
		if got == port {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the frame was seen on %q, not on %s", got, port)
		}
	}
}

func sendFrame(out netlink.Link, frame []byte) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: out.Attrs().Index})
}

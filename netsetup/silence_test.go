package netsetup

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// guestMAC is what a guest's definition has, otherMAC what it sends under all the same.
var (
	guestMAC = net.HardwareAddr{0x52, 0x54, 0x00, 0x53, 0x52, 0xb1}
	otherMAC = net.HardwareAddr{0x52, 0x54, 0x00, 0x99, 0x99, 0x99}
)

// openGuest has the real helper make a tap on virbr0, which this process holds, as a QEMU does.
func openGuest(t *testing.T) *Tap {
	t.Helper()
	write(t, DefaultACL, "allow virbr0\n")
	tap, err := OpenTap(t.Context(), realHelper, "virbr0")
	must(t, err)
	t.Cleanup(func() { tap.File.Close() })
	return tap
}

// sendFrom is a frame of the guest's: behind the header of virtio's (linux/virtio_net.h), which is empty.
func sendFrom(t *testing.T, tap *Tap, from net.HardwareAddr) {
	t.Helper()
	frame := make([]byte, 10+60)
	copy(frame[10:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	copy(frame[16:], from)
	copy(frame[22:], []byte{0x88, 0xb5}) // IEEE 802's, for experiments
	_, err := tap.File.Write(frame)
	must(t, err)
}

func ip(t *testing.T, program string, args ...string) {
	t.Helper()
	if text, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, text)
	}
}

// wantSilence holds the error's text against a pattern of all of it, and its cause.
func wantSilence(t *testing.T, q CheckQuery, cause error, pattern string) error {
	t.Helper()
	err := Silence(q)
	if !errors.Is(err, cause) || !regexp.MustCompile("^"+pattern+"$").MatchString(fmt.Sprint(err)) {
		t.Errorf("got  %v\nwant %s", err, pattern)
	}
	return err
}

func TestWhyNothingIsHeardOfAGuest(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	br := addBridge(t, "virbr0", true)
	tap := openGuest(t)
	q := CheckQuery{Bridge: "virbr0", MACs: []net.HardwareAddr{guestMAC}, PID: os.Getpid()}
	if err := Silence(q); err != nil {
		t.Error(err)
	}
	ip(t, "bridge", "link", "set", "dev", tap.Name, "state", "0") // without the protocol the kernel lets no other state last
	wantSilence(t, q, ErrPortBlocked, `port tap0 of bridge "virbr0": forwards no frames: disabled`)
	ip(t, "bridge", "link", "set", "dev", tap.Name, "state", "3")
	if err := Silence(q); err != nil {
		t.Error(err)
	}

	sendFrom(t, tap, otherMAC)
	err := wantSilence(t, q, ErrOtherMAC, `port tap0 of bridge "virbr0": the guest's frames come from another MAC than its definition has: 52:54:00:99:99:99`)
	if e, ok := errors.AsType[*OtherMACError](err); !ok || e.MAC.String() != otherMAC.String() {
		t.Errorf("%+v", err)
	}
	sendFrom(t, tap, guestMAC) // a guest may have others behind its own
	if err := Silence(q); err != nil {
		t.Error(err)
	}

	must(t, netlink.LinkSetDown(br))
	wantSilence(t, q, ErrBridgeDown, `bridge "virbr0": bridge is down`)
	must(t, netlink.LinkDel(br))
	wantSilence(t, q, ErrNoBridge, `bridge "virbr0": no such bridge`)
	if got := fmt.Sprint(LooseTaps()); got != "[tap0]" {
		t.Errorf("loose taps %s", got)
	}
	again := addBridge(t, "virbr0", true)
	wantSilence(t, q, ErrTapDetached, `tap tap0: no port of any bridge: bridge "virbr0" was made anew since the start`)
	link, err := netlink.LinkByName(tap.Name)
	must(t, err)
	must(t, netlink.LinkSetMaster(link, again))
	if err := Silence(q); err != nil {
		t.Error(err)
	}
	if loose := LooseTaps(); len(loose) > 0 {
		t.Errorf("loose taps %s", loose)
	}
}

func TestAPortThatWaitsForTheSpanningTreeSaysForHowLong(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	addBridge(t, "virbr0", true)
	ip(t, "ip", "link", "set", "virbr0", "type", "bridge", "stp_state", "1", "forward_delay", "200")
	b, err := FindBridge("virbr0")
	must(t, err)
	if want := (STP{On: true, ForwardDelay: 2 * time.Second}); b.STP != want {
		t.Errorf("%+v, want %+v", b.STP, want)
	}
	openGuest(t)
	q := CheckQuery{Bridge: "virbr0", MACs: []net.HardwareAddr{guestMAC}, PID: os.Getpid()}
	wantSilence(t, q, ErrPortWaits, `port tap0 of bridge "virbr0": the spanning tree protocol lets no frames through yet: listening, and forwards in [34]s`)
	states := map[string]bool{}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) { // the kernel tells of no state by an event that is worth a subscription here
		e, held := errors.AsType[*BridgeError](Silence(q))
		if !held {
			break
		}
		states[regexp.MustCompile(`^\w+`).FindString(e.Detail)] = true
	}
	if err := Silence(q); err != nil || !states["listening"] || !states["learning"] {
		t.Errorf("%v, after %v", err, states)
	}
	r := Report{Bridge: b}
	if got := checkSTP(t.Context(), q, &r).Evidence; got != `bridge "virbr0": its spanning tree protocol holds a guest's frames back: 4s after its start` {
		t.Error(got)
	}
}

func TestWhyAGuestThatSendsHasNoLease(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	addBridge(t, "own0", true)
	filtered := map[string]string{"1": "init", "/proc/sys/net/bridge/bridge-nf-call-iptables": "1\n"}
	tests := []struct {
		bridge string
		files  map[string]string
		rules  string // of iptables
		cause  error
		want   string
	}{
		{"own0", map[string]string{"1": "init"}, "", ErrNoDHCP, `bridge "own0": no DHCP server is known: guests get no address unless their own configuration has one`},
		{"own0", map[string]string{"1": "init", "/etc/qlaunch/dnsmasq-own0.conf": "interface=own0\ndhcp-range=10.0.0.2,10.0.0.9\n"}, "", ErrDHCPDead,
			`bridge "own0": its DHCP server does not run: /etc/qlaunch/dnsmasq-own0.conf`},
		{"own0", map[string]string{"1": "init", "9": "dnsmasq -i own0 -F 10.0.0.2,10.0.0.9"}, "-P INPUT ACCEPT", ErrNotServed,
			`bridge "own0": its DHCP server has no lease for the guest, which may not ask for one: dnsmasq, pid 9`},
		{"own0", map[string]string{"1": "init", "9": "dnsmasq -i own0 -F 10.0.0.2,10.0.0.9"}, "-P INPUT DROP", ErrInputDropped,
			`bridge "own0": the firewall keeps guests from this host's DHCP server: iptables: INPUT has the policy DROP, and no rule accepts what comes from own0`},
		{"lan0", map[string]string{"1": "init"}, "", ErrNoAnswer, `bridge "lan0": no DHCP server has answered: none runs on this host, one may on the network behind eth0`},
		{"lan0", filtered, "-P FORWARD ACCEPT", ErrForwardUnseen,
			`bridge "lan0": no DHCP server has answered, and what passes the bridge passes this host's FORWARD chain (bridge-nf-call-iptables): eth0`},
		{"lan0", filtered, "-P FORWARD DROP", ErrBridgedDropped,
			`bridge "lan0": the firewall keeps guests from the DHCP server of another network: iptables: FORWARD has the policy DROP, and no rule accepts what comes from lan0`},
		{"lan0", filtered, "-P FORWARD DROP\n-A FORWARD -i lan0 -o lan0 -j ACCEPT", ErrForwardUnseen,
			`bridge "lan0": no DHCP server has answered, and what passes the bridge passes this host's FORWARD chain (bridge-nf-call-iptables): eth0`},
	}
	for _, tt := range tests {
		root := plant(t, tt.files)
		program(t, root, "iptables", fmt.Sprintf("echo '%s'", tt.rules))
		program(t, root, "nft", `echo '{"nftables": []}'`)
		r := Report{Bridge: Bridge{Name: tt.bridge}, Server: DHCPServer(root, tt.bridge)}
		if tt.bridge == "lan0" {
			r.Bridge.Uplinks = []string{"eth0"}
		}
		err := r.unanswered(t.Context(), CheckQuery{Root: root})
		if !errors.Is(err, tt.cause) || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
	for bridge, want := range map[string]string{
		"own0": `bridge "own0": no DHCP server is known: guests get no address unless their own configuration has one`,
		"gone": `bridge "gone": no such bridge`,
	} {
		if err := Unanswered(t.Context(), CheckQuery{Root: plant(t, tests[0].files), Bridge: bridge}); fmt.Sprint(err) != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

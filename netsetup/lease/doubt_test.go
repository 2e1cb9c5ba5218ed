package lease

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The kernel's routing tables and neighbour entries are the real ones here, and the guests' answers.
func TestAddressesInDoubt(t *testing.T) {
	if !again(t, "unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child") {
		return
	}
	h := newNetwork(t)
	ip(t, "link add lan0 type veth peer name lan1")
	ip(t, "link set lan0 up")
	ip(t, "link set lan1 up")
	ip(t, "addr add 10.88.0.7/24 dev lan0")
	ip(t, "route add default via 10.88.0.1 dev lan0")
	ip(t, "route add 192.168.122.128/25 dev lan0")
	t.Run("the guests' subnet is a route, and the host's address a single one", h.subnetIsARoute)
	t.Run("the host's address has a peer", h.peer)
	t.Run("what another link owns is no guest's", h.ownedByAnother)
	t.Run("an expired lease counts when the guest answers", h.expired)
	t.Run("an expired lease at which nobody answers does not", h.expiredAndGone)
	t.Run("an address of before is confirmed by the guest's answer", h.confirmed)
	t.Run("an address that another MAC has is refused", h.heldByAnother)
	t.Run("an address that another MAC had is asked for", h.onceHeldByAnother)
}

// doubtful is a query for a guest that has a lease in another server's file, which ends after a time.
func (h *network) doubtful(t *testing.T, bridge string, mac net.HardwareAddr, address string, ends time.Duration) Query {
	t.Helper()
	q := Query{Root: t.TempDir(), Bridge: bridge, MAC: mac}
	put(t, q, debian, fmt.Sprintf("%d %s %s guestvm *\n", time.Now().Add(ends).Unix(), mac, address))
	return q
}

// verdicts are those of the lease file that the query is about, and the address that is believed.
func verdicts(q Query, reports []Report) string {
	var words []string
	for _, r := range reports {
		if r.Path == filepath.Join(q.Root, debian) {
			words = append(words, r.Verdict)
		}
	}
	best, _ := Best(reports)
	return strings.Join(append(words, best.IP.String()), " → ")
}

func (h *network) subnetIsARoute(t *testing.T) {
	ip(t, "link add br32 type bridge")
	ip(t, "link set br32 up")
	ip(t, "addr add 10.77.0.1/32 dev br32")
	ip(t, "route add 10.77.1.0/24 dev br32 src 10.77.0.1")
	for address, want := range map[string]string{
		"10.77.1.62":  "10.77.1.62: lease → 10.77.1.62",
		"10.77.1.255": "10.77.1.255: refused, not a host's address in 10.77.1.0/24 → invalid IP",
		"10.77.0.1":   "10.77.0.1: refused, the bridge's own address → invalid IP",
		"10.77.2.62":  "10.77.2.62: refused, outside the bridge's 10.77.0.1/32 → invalid IP",
		"10.88.0.7":   "10.88.0.7: refused, an address of this host's → invalid IP",
	} {
		q := h.doubtful(t, "br32", guestMAC, address, time.Hour)
		if diff := cmp.Diff(want, verdicts(q, Look(t.Context(), q))); diff != "" {
			t.Error(diff)
		}
		claim := JudgeAgent(q, AgentReply{Matched: true, Addresses: ips(address)})
		if believed := strings.HasSuffix(want, " → "+address); believed != (claim.Addresses[0].Refused == "") {
			t.Errorf("the guest claims %s: %s", address, claim.Verdict)
		}
	}
}

func (h *network) peer(t *testing.T) {
	ip(t, "link add brpeer type bridge")
	ip(t, "link set brpeer up")
	ip(t, "addr add 10.79.0.1 peer 10.79.9.0/24 dev brpeer")
	q := h.doubtful(t, "brpeer", guestMAC, "10.79.9.62", time.Hour)
	if diff := cmp.Diff("10.79.9.62: lease → 10.79.9.62", verdicts(q, Look(t.Context(), q))); diff != "" {
		t.Error(diff)
	}
}

func (h *network) ownedByAnother(t *testing.T) {
	ip(t, "link add bare0 type bridge")
	ip(t, "link set bare0 up")
	for _, bridge := range []string{"virbr0", "bare0"} { // bare0 has no address, and nothing to compare with
		q := h.doubtful(t, bridge, guestMAC, "10.88.0.62", time.Hour)
		want := "10.88.0.62: refused, in 10.88.0.0/24, which is on lan0 → invalid IP"
		if diff := cmp.Diff(want, verdicts(q, Look(t.Context(), q))); diff != "" {
			t.Errorf("%s: %s", bridge, diff)
		}
		if claim := JudgeAgent(q, AgentReply{Matched: true, Addresses: ips("10.88.0.62")}); claim.Addresses[0].Refused == "" {
			t.Errorf("%s: the guest's own word counts: %s", bridge, claim.Verdict)
		}
	}
	// A narrower route wins over the bridge's own subnet, for ssh as well.
	q := h.doubtful(t, "virbr0", guestMAC, "192.168.122.162", time.Hour)
	want := "192.168.122.162: refused, in 192.168.122.128/25, which is on lan0 → invalid IP"
	if diff := cmp.Diff(want, verdicts(q, Look(t.Context(), q))); diff != "" {
		t.Error(diff)
	}
}

func (h *network) expired(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 4, 1}
	g := h.start(t, mac)
	g.run(t, "ip addr add 192.168.122.71/24 dev eth0")
	q := h.doubtful(t, "virbr0", mac, "192.168.122.71", -time.Hour)
	q.Since = time.Now().Add(-2 * time.Hour)
	want := "192.168.122.71: refused, expired, and not confirmed → invalid IP"
	if diff := cmp.Diff(want, verdicts(q, Look(t.Context(), q))); diff != "" {
		t.Error(diff)
	}
	want = "192.168.122.71: lease since this start, expired, REACHABLE → 192.168.122.71"
	if diff := cmp.Diff(want, verdicts(q, Ask(t.Context(), q))); diff != "" {
		t.Error(diff)
	}
	// Who waits finds it as well.
	h.wait(t, newRealWaiter(t, q)).expect(t, answer{Address: "192.168.122.71", Source: "dnsmasq", Freshness: "this start"})
}

func (h *network) expiredAndGone(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 4, 2}
	q := h.doubtful(t, "virbr0", mac, "192.168.122.72", -time.Hour)
	got := verdicts(q, Ask(t.Context(), q))
	if diff := cmp.Diff("192.168.122.72: refused, expired, and not confirmed → invalid IP", got); diff != "" {
		t.Error(diff)
	}
	ip(t, "neigh replace 192.168.122.72 dev virbr0 nud failed")
	want := "192.168.122.72: refused, expired, and nobody answers → invalid IP"
	if diff := cmp.Diff(want, verdicts(q, Look(t.Context(), q))); diff != "" {
		t.Error(diff)
	}
}

// The entry of before is STALE, and the kernel would take five seconds to ask; the guest's refusal of a packet is there at once.
func (h *network) confirmed(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 4, 3}
	g := h.start(t, mac)
	g.run(t, "ip addr add 192.168.122.73/24 dev eth0")
	q := h.doubtful(t, "virbr0", mac, "192.168.122.73", time.Hour)
	ip(t, "neigh replace 192.168.122.73 lladdr "+mac.String()+" dev virbr0 nud stale")
	time.Sleep(50 * time.Millisecond) // the kernel tells times in hundredths of a second: all that stands there is from before
	q.Since = time.Now()
	want := "192.168.122.73: lease from before this start, STALE → 192.168.122.73"
	if diff := cmp.Diff(want, verdicts(q, Look(t.Context(), q))); diff != "" {
		t.Error(diff)
	}
	best, _ := Best(Ask(t.Context(), q))
	if best.IP.String() != "192.168.122.73" || !best.Live {
		t.Errorf("%v is not confirmed", best)
	}
}

func (h *network) heldByAnother(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 4, 4}
	q := h.doubtful(t, "virbr0", mac, "192.168.122.74", time.Hour)
	ip(t, "neigh replace 192.168.122.74 lladdr 52:54:00:00:00:99 dev virbr0 nud reachable")
	want := "192.168.122.74: refused, 52:54:00:00:00:99 has it → invalid IP"
	if diff := cmp.Diff(want, verdicts(q, Look(t.Context(), q))); diff != "" {
		t.Error(diff)
	}
	if holder := Holder(q, ips("192.168.122.74")[0]); holder != "52:54:00:00:00:99" {
		t.Errorf("the holder is %q", holder)
	}
	q.OtherMACs = []net.HardwareAddr{{0x52, 0x54, 0, 0, 0, 0x99}} // the guest answers on its other NIC
	if diff := cmp.Diff("192.168.122.74: lease → 192.168.122.74", verdicts(q, Look(t.Context(), q))); diff != "" {
		t.Error(diff)
	}
}

func (h *network) onceHeldByAnother(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 4, 5}
	q := h.doubtful(t, "virbr0", mac, "192.168.122.75", time.Hour)
	ip(t, "neigh replace 192.168.122.75 lladdr 52:54:00:00:00:99 dev virbr0 nud stale")
	want := "192.168.122.75: lease, and 52:54:00:00:00:99 was seen there → 192.168.122.75"
	if diff := cmp.Diff(want, verdicts(q, Look(t.Context(), q))); diff != "" {
		t.Error(diff)
	}
	w := newRealWaiter(t, q)
	if s := mustLook(t, w); s.acceptance == now {
		t.Error("it is believed at once")
	}
	// The guest takes it, and asks for the host: the entry is the guest's from then on.
	p := h.wait(t, w)
	g := h.start(t, mac)
	g.run(t, "ip addr add 192.168.122.75/24 dev eth0")
	g.run(t, "busybox arping -f -w 10 -I eth0 192.168.122.1")
	<-p.done
	if p.err != nil || p.got.Address != "192.168.122.75" {
		t.Errorf("%v, %v", p.got, p.err)
	}
	if holder := Holder(q, ips("192.168.122.75")[0]); holder != "" {
		t.Errorf("the holder is %q still", holder)
	}
}

package lease

import (
	"context"
	"testing"
)

// own is where the server of these tests was told to keep its leases.
const own = "srv/dhcp/own.leases"

func TestTheFileThatTheServerWasToldToKeepIsWaitedFor(t *testing.T) {
	q := newHost(t)
	asked := 0
	q.Server = func() string { asked++; return "/" + own }
	put(t, q, own, leaseLine("192.168.122.70", 0)) // of an earlier start
	w := mustWaiter(t, q)
	if !w.findServer(t.Context()) { // as Wait does, when its first look finds nothing
		t.Fatal("there is no more to be read")
	}
	got := await(t, w)
	put(t, q, own, leaseLine("192.168.122.70", 0)+leaseLine("192.168.122.62", 100))
	expect(t, answer{Address: "192.168.122.62", Source: "dnsmasq", Freshness: "this start"}, got())
	if asked != 1 {
		t.Errorf("the server was looked for %d times", asked)
	}
}

func TestTheServerIsNotLookedForWhereItsLeaseIsKnown(t *testing.T) {
	q := newHost(t)
	q.Server = func() string { t.Error("it is looked for"); return "" }
	w := mustWaiter(t, q)
	put(t, q, debian, leaseLine("192.168.122.62", 0))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	expect(t, answer{Address: "192.168.122.62", Source: "dnsmasq", Freshness: "this start"}, wait(ctx, w))
}

func TestAServersFileThatIsReadAnywayIsReadOnce(t *testing.T) {
	q := newHost(t)
	for path, more := range map[string]int{"/" + own: 1, "/" + debian: 0, "": 0, "relative": 0} {
		plain := survey(t.Context(), q.Root, q.Bridge, virbr0, nil)
		if got := len(plain.With(t.Context(), q.Root, path).files) - len(plain.files); got != more {
			t.Errorf("%q: %d more files", path, got)
		}
	}
}

package lease

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

var secondMAC = net.HardwareAddr{0x52, 0x54, 0x00, 0x53, 0x52, 0xb2}

// twoNICs are the waiters of a guest's NICs, and where a lease of either comes to stand.
func twoNICs(t *testing.T) (Query, []*Waiter) {
	t.Helper()
	q := newHost(t)
	put(t, q, debian, "")
	second := q
	second.MAC = secondMAC
	return q, []*Waiter{mustWaiter(t, q), mustWaiter(t, second)}
}

func secondLine(ip string) string {
	return "1895437000 52:54:00:53:52:b2 " + ip + " guestvm *\n"
}

func waitAny(ctx context.Context, waiters []*Waiter) answer {
	a, err := WaitAny(ctx, waiters, nil)
	if err != nil {
		return answer{Err: err.Error()}
	}
	return answer{Address: a.IP.String(), Source: string(a.Source), Freshness: string(a.Freshness)}
}

func TestAnAddressOfTheSecondNICAloneIsTheGuests(t *testing.T) {
	q, waiters := twoNICs(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	put(t, q, debian, secondLine("192.168.122.63"))
	expect(t, answer{Address: "192.168.122.63", Source: "dnsmasq", Freshness: "this start"}, waitAny(ctx, waiters))
}

func TestTheFirstNICsAddressCountsWhicheverComesFirst(t *testing.T) {
	q, waiters := twoNICs(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	put(t, q, debian, secondLine("192.168.122.63"))
	told := 0
	a, err := WaitAny(ctx, waiters, func(s Stage) {
		if told++; s == Addressed && told == 1 { // the second NIC is
			put(t, q, debian, secondLine("192.168.122.63")+leaseLine("192.168.122.62", 0))
		}
	})
	if err != nil || a.IP.String() != "192.168.122.62" || told != 1 {
		t.Errorf("%v, %v, told of %d stages", a, err, told)
	}
}

func TestTheFirstNICsAddressIsNotHeldUpByTheOthers(t *testing.T) {
	q, waiters := twoNICs(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	put(t, q, debian, leaseLine("192.168.122.62", 0))
	begun := time.Now()
	expect(t, answer{Address: "192.168.122.62", Source: "dnsmasq", Freshness: "this start"}, waitAny(ctx, waiters))
	if took := time.Since(begun); took >= settleTime {
		t.Errorf("it took %v", took)
	}
}

func TestNoAddressOnAnyNICIsTheErrorOfTheOneThatCameFurthest(t *testing.T) {
	_, waiters := twoNICs(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	want := "no address for 52:54:00:53:52:b1 on virbr0: the guest has sent no frames: context deadline exceeded"
	expect(t, answer{Err: want}, waitAny(ctx, waiters))
	late := &WaitError{Query: Query{Bridge: "virbr0", MAC: secondMAC}, Stage: Frames, Err: context.DeadlineExceeded}
	ends := []end{{err: &WaitError{Stage: Silent}}, {err: late}, {err: &WaitError{Stage: Frames}}}
	if got := furthest(ends); !errors.Is(got, late) {
		t.Errorf("got %v", got)
	}
}

package lease

import (
	"context"
	"strings"
	"testing"
)

// A guest gives its first address up: an initramfs had it, and the system that it booted asks for another.
func TestFollowTellsEachAddressThatAGuestComesToHave(t *testing.T) {
	q := newHost(t)
	put(t, q, debian, "")
	w := mustWaiter(t, q)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	steps := []struct{ told, next string }{
		{"", leaseLine("192.168.122.62", 0)},
		{"192.168.122.62", leaseLine("192.168.122.62", 0) + leaseLine("192.168.122.63", 60)},
		{"192.168.122.63 192.168.122.62", leaseLine("192.168.122.63", 60)},
		{"192.168.122.63", ""},
		{"", ""},
	}
	err := w.Follow(ctx, func(believed []Address) {
		var told []string
		for _, a := range believed {
			told = append(told, a.IP.String())
		}
		if len(steps) == 0 || strings.Join(told, " ") != steps[0].told {
			return // the same again, after an event that changed nothing
		}
		put(t, q, debian, steps[0].next)
		if steps = steps[1:]; len(steps) == 0 {
			stop()
		}
	})
	if err != nil || len(steps) > 0 {
		t.Errorf("%v; not told: %v", err, steps)
	}
}

func TestFollowSaysWhatBreaksItsWatch(t *testing.T) {
	w := mustWaiter(t, newHost(t))
	w.files.close()
	err := w.Follow(t.Context(), func([]Address) {})
	if err == nil || !strings.HasPrefix(err.Error(), "wait for the address of 52:54:00:53:52:b1: ") {
		t.Error(err)
	}
}

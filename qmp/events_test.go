package qmp

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	goqemu "github.com/digitalocean/go-qemu/qmp"
	"github.com/google/go-cmp/cmp"
)

func TestAnEventBeforeAReplyIsThereWhenTheReplyIs(t *testing.T) {
	m := dialScript(t, func(p *peer) {
		p.greet()
		req := p.receive()
		p.send(`{"timestamp": {"seconds": 1795438330, "microseconds": 355901}, "event": "SHUTDOWN", "data": {"guest": false, "reason": "host-qmp-quit"}}` + "\r\n")
		p.send(`{"return": {}, "id": %d}`+"\r\n", req.ID)
	})
	if err := m.Quit(generous(t)); err != nil {
		t.Fatal(err)
	}
	events, err := m.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-events:
		want := goqemu.Event{Event: "SHUTDOWN", Data: map[string]any{"guest": false, "reason": "host-qmp-quit"}}
		want.Timestamp.Seconds, want.Timestamp.Microseconds = 1795438330, 355901
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	default:
		t.Error("the reply is here and the event is not")
	}
	reason, err := m.WaitShutdown(generous(t))
	if reason != "host-qmp-quit" || err != nil {
		t.Errorf("WaitShutdown: %q, %v", reason, err)
	}
}

func TestAFloodOfEventsKeepsTheNewestAndHoldsNothingUp(t *testing.T) {
	m := dialScript(t, func(p *peer) {
		p.greet()
		req := p.receive()
		for n := range 10_000 {
			p.send(`{"event": "RTC_CHANGE", "data": {"offset": %d}}`+"\r\n", n)
		}
		p.send(`{"return": {}, "id": %d}`+"\r\n", req.ID)
		p.silence()
	})
	idle, _ := m.Events(t.Context()) // whose reader never comes in time
	if err := m.Powerdown(generous(t)); err != nil {
		t.Fatal(err)
	}
	if got := m.Dropped(); got != 10_000-queueLength {
		t.Errorf("%d dropped, want %d", got, 10_000-queueLength)
	}
	late, _ := m.Events(t.Context())
	if got := m.Dropped(); got != 2*(10_000-queueLength) {
		t.Errorf("%d dropped for both readers, want %d", got, 2*(10_000-queueLength))
	}
	m.Close()
	for name, events := range map[string]<-chan goqemu.Event{"idle": idle, "late": late} {
		next := 10_000 - queueLength
		for e := range events {
			if got := fmt.Sprint(e.Data["offset"]); got != fmt.Sprint(next) {
				t.Fatalf("%s reader: event %s, want %d", name, got, next)
			}
			next++
		}
		if next != 10_000 {
			t.Errorf("%s reader: the events end before %d", name, next)
		}
	}
}

func TestAnEventThatIsTooLargeIsDropped(t *testing.T) {
	m := dialScript(t, func(p *peer) {
		p.greet()
		p.send(`{"event": "HUGE", "data": {"x": "%s"}} {"event": "SHUTDOWN"}`, strings.Repeat("x", maxEvent))
		p.silence()
	})
	reason, err := m.WaitShutdown(generous(t))
	if reason != "" || err != nil {
		t.Errorf("WaitShutdown: %q, %v", reason, err)
	}
	if got := m.Dropped(); got != 1 {
		t.Errorf("%d dropped, want 1", got)
	}
}

func TestEventsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := openScript(t.Context(), t, func(p *peer) { p.greet(); p.send(`{"event": "STOP"}`); p.silence() })
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		events, _ := m.Events(ctx)
		synctest.Wait()
		cancel()
		var got []string
		for e := range events {
			got = append(got, e.Event)
		}
		if diff := cmp.Diff([]string{"STOP"}, got); diff != "" {
			t.Error(diff)
		}
		if err := m.Connect(); err != nil {
			t.Errorf("the connection went with a reader: %v", err)
		}
	})
}

func TestWaitShutdownEndsWithTheConnectionOrTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := openScript(t.Context(), t, func(p *peer) {
			p.greet()
			p.send(`{"event": "POWERDOWN"}`)
			time.Sleep(time.Minute)
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.WaitShutdown(within(t, time.Second))
		wantError(t, err, "", "qmp SOCKET: wait for the shutdown: context deadline exceeded", context.DeadlineExceeded)
		_, err = m.WaitShutdown(t.Context())
		wantError(t, err, "", "qmp SOCKET: wait for the shutdown: connection ended", ErrEnded)
	})
}

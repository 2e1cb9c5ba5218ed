package qemu

import (
	"os"
	"testing"
	"time"

	"github.com/qlaunch/qlaunch/qmp"
)

func TestWhoCannotAskIsAnsweredByWhatQEMUWasAskedSince(t *testing.T) {
	vm := testVM(t, noNIC)
	p := start(t, vm)
	if status, err := Ask(t.Context(), vm); err != nil || status.State != Running {
		t.Fatalf("%+v, %v", status, err)
	}
	before, err := monotonic()
	if err != nil {
		t.Fatal(err)
	}
	m, err := qmp.Dial(t.Context(), QMPSocket(vm)) // from here on nobody else is served
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const mute = "another program holds its monitor, or it is stuck"
	soon := before + int64(time.Hour)
	for _, c := range []struct {
		why    string
		answer lastReply
		text   string // instead of an answer
		state  State
		reason string
	}{
		{"running", lastReply{p.PID, soon, ""}, "", Running, ""},
		{"a reason of any bytes", lastReply{p.PID, soon, "disk full: /a b\n\"c\""}, "", Paused, "disk full: /a b\n\"c\""},
		{"asked before", lastReply{p.PID, before, ""}, "", Unresponsive, mute},
		{"of another QEMU", lastReply{p.PID + 1, soon, ""}, "", Unresponsive, mute},
		{"torn", lastReply{}, "1 2 \"by the", Unresponsive, mute},
		{"none", lastReply{}, "", Unresponsive, mute},
	} {
		if err := os.WriteFile(replyFile(vm), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c.answer.pid != 0 {
			c.answer.save(vm)
		}
		status, err := Ask(t.Context(), vm)
		if err != nil || status.State != c.state || status.Reason != c.reason {
			t.Errorf("%s: %+v, %v; want %s (%s)", c.why, status, err, c.state, c.reason)
		}
	}
}

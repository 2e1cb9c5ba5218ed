package qemu

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/qlaunch/qlaunch/vms"
)

func TestADisplayAnswersAtItsSocketHoweverLongItsPath(t *testing.T) {
	long := strings.Repeat("d", 60)
	for name, test := range map[string]struct{ text, says, greeting string }{
		"vnc":   {"[display]\ntype = \"vnc\"\n", "", "RFB 003.008\n"},
		"spice": {"[display]\ntype = \"spice\"\n", "REDQ", "REDQ"},
	} {
		for _, at := range []string{"", long + "/" + long} {
			t.Run(name+"/"+at, func(t *testing.T) {
				vm := testVM(t, test.text+noNIC)
				vm.RunDir = vm.RunDir + "/" + at
				if err := MakeDirs(vm); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _, _ = Stop(context.Background(), vm, 0) })
				start(t, vm)
				if got := greeting(t, vm, test.says, len(test.greeting)); got != test.greeting {
					t.Errorf("%q, want %q", got, test.greeting)
				}
				if info, err := os.Stat(DisplaySocket(vm)); err != nil || info.Mode() != os.ModeSocket|0o600 {
					t.Errorf("%v, %v", info.Mode(), err)
				}
			})
		}
	}
}

// greeting is the first bytes that come from a display. A spice server wants to hear of a client first.
func greeting(t *testing.T, vm vms.VM, says string, n int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := dial(ctx, DisplaySocket(vm))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if says != "" {
		// RedLinkHeader: magic, version 2.2, the size of what follows. RedLinkMess: connection 0, the main channel,
		// no capabilities, which would begin at byte 18 (spice-protocol, protocol.h).
		link := "REDQ\x02\x00\x00\x00\x02\x00\x00\x00\x12\x00\x00\x00" + "\x00\x00\x00\x00\x01\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00\x12\x00\x00\x00"
		if _, err := io.WriteString(conn, link); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, n)
	_, err = io.ReadFull(conn, got)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

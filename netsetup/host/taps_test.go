package host

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatAProcessSaysOfItsTaps(t *testing.T) {
	tests := []struct{ environ, bridge, want string }{
		{"PATH=/bin\x00QLAUNCH_TAPS=tap0=virbr0 tap1=br1 tap2=virbr0\x00", "virbr0", "[tap0 tap2]"},
		{"QLAUNCH_TAPS=tap0=a=b", "a=b", "[tap0]"},
		{"QLAUNCH_TAPS=tap0=virbr0\x00", "virbr", "[]"},
		{"QLAUNCH_TAPS=tap0\x00", "", "[tap0]"},
		{"XQLAUNCH_TAPS=tap0=virbr0\x00", "virbr0", "[]"},
		{"", "virbr0", "[]"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(saidTaps([]byte(tt.environ), tt.bridge)); got != tt.want {
			t.Errorf("%q on %q: %s, want %s", tt.environ, tt.bridge, got, tt.want)
		}
	}
}

func TestWhoseProcessItIs(t *testing.T) {
	var c claim
	if !c.identify([]byte("Name:\tqemu\nUid:\t1000\t1001\t1002\t1003\nGid:\t100\t101\t102\t103\nGroups:\t4 24 27 \nNoNewPrivs:\t1\n")) {
		t.Error("not identified")
	}
	if diff := cmp.Diff([]uint32{1000, 100, 4, 24, 27}, append([]uint32{c.uid, c.gid}, c.groups...)); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{"", "Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\n", "Uid:\t-1\nGid:\t0\nGroups:\n"} {
		if new(claim).identify([]byte(text)) {
			t.Errorf("identified %q", text)
		}
	}
}

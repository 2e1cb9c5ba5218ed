package systemd

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// As systemctl 252 writes it.
const killed = `Result=signal
MainPID=0
ExecMainCode=2
ExecMainStatus=9
StatusText=192.168.122.86
LoadState=loaded
ActiveState=failed
SubState=failed
FragmentPath=/home/u/.config/systemd/user/qlaunch@.service
DropInPaths=/home/u/.config/systemd/user/qlaunch@.service.d/a.conf /home/u/.config/systemd/user/qlaunch@web.service.d/b.conf
UnitFileState=enabled
NeedDaemonReload=yes
`

func TestTheStateIsWhatSystemctlShows(t *testing.T) {
	want := State{
		Load: "loaded", Active: "failed", Sub: "failed", Result: "signal", Status: "192.168.122.86", Code: cldKilled, Exit: 9,
		Fragment: "/home/u/.config/systemd/user/qlaunch@.service",
		DropIns:  []string{"/home/u/.config/systemd/user/qlaunch@.service.d/a.conf", "/home/u/.config/systemd/user/qlaunch@web.service.d/b.conf"},
		Enabled:  true, Stale: true,
	}
	if diff := cmp.Diff(want, parseState(killed)); diff != "" {
		t.Error(diff)
	}
}

func TestAFailureIsSaidInWords(t *testing.T) {
	for _, c := range []struct {
		state State
		want  string
	}{
		{State{Active: "active", Result: "success"}, ""},
		{State{Active: "inactive", Result: "success"}, ""},
		{State{Active: "failed", Result: "signal", Code: cldKilled, Exit: 9}, "ended by SIGKILL"},
		{State{Active: "failed", Result: "core-dump", Code: cldDumped, Exit: 6}, "ended by SIGABRT"},
		{State{Active: "failed", Result: "signal", Code: cldKilled, Exit: 40}, "ended by signal 40"},
		{State{Active: "failed", Result: "exit-code", Code: cldExited, Exit: 1, Status: "192.168.122.86"}, "ended with exit status 1"},
		{State{Active: "failed", Result: "exit-code", Code: cldExited, Exit: 5, Status: NotStarted + "bridge br0: no such bridge"}, "bridge br0: no such bridge"},
		{State{Active: "failed", Result: "exit-code", Code: cldExited, Exit: 203}, "its program cannot be executed"},
		{State{Active: "failed", Result: "start-limit-hit"}, "it was started too often in a short time"},
		{State{Active: "failed", Result: "oom-kill", Code: cldKilled, Exit: 9}, "the kernel ended QEMU for lack of memory"},
		{State{Active: "failed", Result: "timeout", Code: cldKilled, Exit: 9}, "it took too long and was ended"},
		{State{Active: "failed", Result: "protocol"}, "protocol"},
		{State{Active: "activating", Sub: "auto-restart", Result: "signal", Code: cldKilled, Exit: 9}, "ended by SIGKILL"},
	} {
		if got := c.state.Failure(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.state, got, c.want)
		}
	}
}

func TestTheEnvironmentIsReadAsItIsShown(t *testing.T) {
	got := parseEnvironment("HOME=/home/u\nXDG_DATA_HOME=$'/home/u/my \\'data\\''\nPLAIN=a=b\nnonsense\nTAB=$'a\\tb'\n")
	want := map[string]string{"HOME": "/home/u", "XDG_DATA_HOME": "/home/u/my 'data'", "PLAIN": "a=b", "TAB": "a\tb"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

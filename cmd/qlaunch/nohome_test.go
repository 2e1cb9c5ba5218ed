package main

import (
	"bytes"
	"testing"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

// A user whom passwd does not know, in an environment without HOME.
func TestWithoutAHomeTheCommandsOfVMsSayWhatIsMissing(t *testing.T) {
	for command, want := range map[string]int{"status": exitHost, "ls": exitHost, "restart": exitHost, "version": exitOK} {
		var out, told bytes.Buffer
		store := vms.Store{UID: 6611, Dirs: vms.Dirs{Runtime: "/tmp/qlaunch-6611"}}
		s := &session{ownStdout: &out, ownStderr: &told, env: &launcher.Env{Store: store}}
		argv := []string{command}
		if command != "ls" && command != "version" {
			argv = append(argv, "web")
		}
		if code := s.main(t.Context(), argv); code != want {
			t.Errorf("%s: exit code %d, want %d\n%s", command, code, want, told.String())
		}
		wanted := ""
		if want == exitHost {
			wanted = "qlaunch: error: " + command + ": " + vms.ErrNoHome.Error() + "\nqlaunch: hint: export HOME=/PATH # a directory of yours\n"
		}
		if told.String() != wanted {
			t.Errorf("%s: %q, want %q", command, told.String(), wanted)
		}
	}
}

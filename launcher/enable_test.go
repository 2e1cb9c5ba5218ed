package launcher

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/qlaunch/qlaunch/vms"
)

// What enable, up and doctor say of lingering is the same file of logind's, whatever loginctl would say to whom.
func TestWhoDoesNotLingerIsToldUnlessThatCanBeHad(t *testing.T) {
	const uid, name = "471100", "471100" // no such user
	for _, test := range []struct {
		name, loginctl string // what the program does
		lingers        bool
		want           string
	}{
		{"lingers already", "echo Linger=no", true, ""},
		{"may not", "echo Linger=yes; exit 1", false,
			"VMs start when you log in, and are shut down when you log out: to start them at boot, sudo loginctl enable-linger 471100\n"},
		{"may", `[ "$*" = "--no-ask-password enable-linger" ] && : >"$LINGER"`, false,
			"you linger now: VMs start at boot, and a logout ends none\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			root, bin := t.TempDir(), t.TempDir()
			file := filepath.Join(root, "var/lib/systemd/linger", name)
			for _, dir := range []string{filepath.Join(root, "run/systemd/system"), filepath.Dir(file)} {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(bin, "loginctl"), []byte("#!/bin/sh\n"+test.loginctl+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			if test.lingers {
				if err := os.WriteFile(file, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			t.Setenv("LINGER", file)
			var said said
			e := &Env{Observer: &said, Root: root, Store: vms.Store{UID: 471100, Dirs: vms.Dirs{Runtime: "/run/user/" + uid + "/qlaunch"}}}
			linger(t.Context(), e)
			if said.text != test.want {
				t.Errorf("got %q, want %q", said.text, test.want)
			}
			if got := CheckLinger(e) == nil; got != (test.want == "" || test.name == "may") {
				t.Errorf("up and doctor think otherwise: %v", CheckLinger(e))
			}
		})
	}
}

// said is an observer that keeps what it is told, a line each.
type said struct{ text string }

func (s *said) Notice(text string) { s.text += text + "\n" }

func (s *said) Command([]string) {}

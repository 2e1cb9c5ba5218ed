package vms

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestWithoutAHomeNoDirectoryIsRelative(t *testing.T) {
	none := func(string) string { return "" }
	d := FindDirs(Surroundings{Getenv: none, UID: 6611, Tmp: "/tmp", Users: "/nosuch"})
	if d != (Dirs{Runtime: "/tmp/qlaunch-6611"}) || !errors.Is(d.Check(), ErrNoHome) {
		t.Errorf("%+v, %v", d, d.Check())
	}
	all := func(name string) string {
		return map[string]string{"XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d", "XDG_STATE_HOME": "/s"}[name]
	}
	d = FindDirs(Surroundings{Getenv: all, UID: 6611, Tmp: "/tmp", Users: "/nosuch"})
	if want := (Dirs{Config: "/c/qlaunch/vms", Data: "/d/qlaunch", State: "/s/qlaunch", Runtime: "/tmp/qlaunch-6611"}); d != want || d.Check() != nil {
		t.Errorf("%+v, %v", d, d.Check())
	}
}

func TestATMPDIRThatIsNoDirectoryIsNotTaken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := t.TempDir()
	for dir, want := range map[string]string{good: good, file: "/tmp", "rel": "/tmp", ".": "/tmp", "": "/tmp", "/nosuch/dir": "/tmp"} {
		d := FindDirs(Surroundings{Getenv: func(string) string { return "" }, Home: "/h", UID: 1, Tmp: dir, Users: "/nosuch"})
		if d.Runtime != filepath.Join(want, "qlaunch-1") {
			t.Errorf("TMPDIR=%s: %s", dir, d.Runtime)
		}
	}
}

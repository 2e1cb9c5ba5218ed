package netsetup

import (
	"os"
	"testing"
)

func TestTheHelperIsTheConfiguredOneOrTheFirstThatIsThere(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/directory", 0o755))
	write(t, dir+"/a", "")
	write(t, dir+"/b", "")

	path, err := findHelper([]string{dir + "/absent", dir + "/directory", dir + "/b", dir + "/a"})
	must(t, err)
	if path != dir+"/b" {
		t.Errorf("found %s", path)
	}
	path, err = FindHelper(dir + "/a")
	must(t, err)
	if path != dir+"/a" {
		t.Errorf("configured, and found %s", path)
	}
	_, err = FindHelper(dir + "/absent")
	wantError(t, err, ErrNoHelper, "bridge helper: no qemu-bridge-helper: looked for "+dir+"/absent")
	_, err = findHelper([]string{dir + "/c", dir + "/d"})
	wantError(t, err, ErrNoHelper, "bridge helper: no qemu-bridge-helper: looked for "+dir+"/c, "+dir+"/d")
}

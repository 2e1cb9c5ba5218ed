package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// build is what the scripts work with.
type build struct {
	qlaunch string // the program
	guest   string // the directory that test/guest/build filled
}

// once is the one build of a run.
var once struct {
	sync.Once
	build
	dir string // TestMain makes and removes it
	err error
}

// built builds qlaunch and the guest, once for all tests.
func built(t *testing.T) build {
	t.Helper()
	once.Do(func() {
		once.build = build{qlaunch: filepath.Join(once.dir, "qlaunch"), guest: filepath.Join(once.dir, "guest")}
		args := []string{"build", "-o", once.qlaunch}
		if raceDetector {
			args = append(args, "-race")
		}
		if once.err = command("go", append(args, "github.com/qlaunch/qlaunch/cmd/qlaunch")...); once.err == nil {
			once.err = command("sh", "../guest/build", once.guest)
		}
	})
	if once.err != nil {
		t.Fatal(once.err)
	}
	return once.build
}

// command runs a command whose output is shown as it comes.
func command(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// build is what the scripts work with.
type build struct {
	qlaunch string // the program, with the race detector where this test has it
	plain   string // the program as users have it
	guest   string // the directory that test/guest/build filled
	helper  string // what stands in for the bridge helper where that goes wrong
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
		plain := filepath.Join(once.dir, "qlaunch")
		once.build = build{qlaunch: plain, plain: plain, guest: filepath.Join(once.dir, "guest"), helper: filepath.Join(once.dir, "fakehelper")}
		const source = "github.com/qlaunch/qlaunch/cmd/qlaunch"
		commands := [][]string{{"go", "build", "-o", plain, source},
			{"go", "build", "-o", once.helper, "github.com/qlaunch/qlaunch/test/fakehelper"}, {"sh", "../guest/build", once.guest}}
		if raceDetector {
			once.qlaunch += "-race"
			commands = append(commands, []string{"go", "build", "-race", "-o", once.qlaunch, source})
		}
		for _, argv := range commands {
			if once.err = command(argv); once.err != nil {
				return
			}
		}
	})
	if once.err != nil {
		t.Fatal(once.err)
	}
	return once.build
}

// command runs a command whose output is shown as it comes.
func command(argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return nil
}

//go:build host

package host_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qlaunch/qlaunch/test/host"
)

// This program runs twice over: as the test and as the keeper of each host.
func TestMain(m *testing.M) {
	if host.Main(os.Args, os.Stdout) {
		return
	}
	os.Exit(run(m))
}

// programs is the directory with what is installed on each host: installed, which make install fills, bin,
// with a tool, and guest, which test/guest/build fills, with a program for guests.
var programs string

func run(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "only root can make hosts: sudo make test-host")
		return 1
	}
	var err error
	if programs, err = os.MkdirTemp("", "qlaunch-host"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(programs)
	for _, argv := range [][]string{
		{"make", "--silent", "-C", "../..", "all", "install", "DESTDIR=" + programs + "/installed"},
		{"go", "build", "-trimpath", "-o", programs + "/bin/killat", "github.com/qlaunch/qlaunch/test/host/killat"},
		{"sh", "../guest/build", programs + "/guest"},
		{"go", "build", "-trimpath", "-o", programs + "/guest/rogue", "github.com/qlaunch/qlaunch/test/host/rogue"},
	} {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // what is built here runs there
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", strings.Join(argv, " "), err)
			return 1
		}
	}
	return m.Run()
}

// Hosts and guests are processor-bound while they boot.
const sideBySide = 2

// A script boots a host, mostly more than once, and guests on it.
const scriptDeadline = 10 * time.Minute

func TestHosts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts:", err)
	}
	free := make(chan struct{}, sideBySide)
	for _, release := range host.Releases() {
		t.Run(release.Name, func(t *testing.T) {
			t.Parallel()
			for _, file := range files {
				t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
					t.Parallel()
					free <- struct{}{}
					defer func() { <-free }()
					runScript(t, release, file)
				})
			}
		})
	}
}

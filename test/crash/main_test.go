package crash

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var (
	rounds   = flag.Int("rounds", 30, "how often the real QEMU, or its qlaunch, is killed")
	seed     = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of what is random")
	crowd    = flag.Int("crowd", 32, "how many qlaunches run at the same time")
	crowdFor = flag.Duration("crowd-for", 60*time.Second, "how long")
)

// The programs under test, as users have them: the race detector would cost a second at each exit.
var programs struct{ dir, qlaunch, fakeQEMU string }

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "qlaunch-crash")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs.dir, programs.qlaunch, programs.fakeQEMU = dir, filepath.Join(dir, "qlaunch"), filepath.Join(dir, "fakeqemu")
	for program, source := range map[string]string{
		programs.qlaunch:  "github.com/qlaunch/qlaunch/cmd/qlaunch",
		programs.fakeQEMU: "github.com/qlaunch/qlaunch/test/fakeqemu/cmd",
	} {
		build := exec.Command("go", "build", "-o", program, source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if said, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n%s", build, err, said)
			return 1
		}
	}
	return m.Run()
}

package crash

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// QEMU's monitor serves one client at a time: two hundred that ask at once stand in a row there.
func TestOfACrowdThatAsksEverybodyIsToldTheTruth(t *testing.T) {
	h := newHome(t)
	h.define(h.fakeQEMU())
	h.must("up", web)
	errs := make([]error, 200)
	took := make([]time.Duration, len(errs))
	var crowd sync.WaitGroup
	for i := range errs {
		crowd.Go(func() {
			begin := time.Now()
			errs[i] = h.runs(h.path(fmt.Sprint("status", i)))
			took[i] = time.Since(begin)
		})
	}
	crowd.Wait()
	longest := time.Duration(0)
	for i, err := range errs {
		if err != nil {
			t.Error(err)
		}
		longest = max(longest, took[i])
	}
	t.Logf("the slowest took %s", longest.Round(time.Millisecond))
	h.comesBack()
}

// runs is an error unless status says that the VM runs. It writes to a file: a pipe's other
// end is open in every process that is being made, and so many are being made that this takes its time.
func (h *home) runs(path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.CommandContext(ctx, programs.qlaunch, "status", web)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = h.environ(), h.dir, out, out
	err = cmd.Run()
	said, _ := os.ReadFile(path)
	if err != nil || !strings.Contains(string(said), "\nstate:       running\n") {
		return fmt.Errorf("status: %w\n%s", err, said)
	}
	return nil
}

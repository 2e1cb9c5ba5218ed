package crash

import (
	"os"
	"strings"
	"testing"
)

// Some file systems cannot free the front of a file. There a log is emptied: a disk that is full is worse.
func TestALogThatCannotBeCutIsEmptied(t *testing.T) {
	mayTrace(t)
	h := newHome(t)
	h.define(h.fakeQEMU())
	h.must("up", web)
	log := h.path("state/qlaunch/web/console.log")
	h.write(log, strings.Repeat("x", 17<<20))
	e := h.run([]string{"strace", "-f", "-b", "execve", "-o", "/dev/null", "-e", "trace=fallocate", "-e", "inject=fallocate:error=EOPNOTSUPP",
		programs.qlaunch, "status", web}, nil)
	if e.code != 0 {
		t.Fatalf("status: exit code %d\n%s", e.code, e.err)
	}
	if info, err := os.Stat(log); err != nil || info.Size() != 0 {
		t.Errorf("the log: %v, %v", info, err)
	}
	h.comesBack()
}

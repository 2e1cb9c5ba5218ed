package main

import (
	"os/exec"
	"strings"
	"testing"
)

func TestSSHReadsAPathAsItIs(t *testing.T) {
	for _, path := range []string{"/keys/id", `/a b/c`, `/a "b" 'c' \ d\\e\`, "/größe/#1", "/=x, y"} {
		said, err := exec.Command("ssh", "-F", "/dev/null", "-G", "-o", "UserKnownHostsFile="+sshPath(path), "host").Output()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(said), "\nuserknownhostsfile "+path+"\n") {
			t.Errorf("%s is not in\n%s", path, said)
		}
	}
}

func TestATokenInAPathIsNotExpanded(t *testing.T) {
	if got := sshPath("/%h/100%"); got != `"/%%h/100%%"` {
		t.Errorf("got %s", got)
	}
}

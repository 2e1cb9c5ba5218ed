package launcher

import (
	"os/exec"
	"strings"
	"testing"
)

func TestSSHReadsAPathAsItIs(t *testing.T) {
	for _, path := range []string{"/keys/id", `/a b/c`, `/a "b" 'c' \ d\\e\`, "/größe/#1", "/=x, y", "/$HOME/$/{}", "/%h/100%"} {
		value, err := sshPath(path)
		if err != nil {
			t.Fatal(err)
		}
		said, err := exec.Command("ssh", "-F", "/dev/null", "-G", "-o", "UserKnownHostsFile="+value, "host").Output()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(said), "\nuserknownhostsfile "+path+"\n") { // with its tokens expanded
			t.Errorf("%s is not in\n%s", path, said)
		}
	}
}

func TestAPathThatSSHWouldReadOtherwiseIsRefused(t *testing.T) {
	for _, path := range []string{"/${HOME}/id", "/a/${", "/a\nProxyCommand x"} {
		if value, err := sshPath(path); err == nil {
			t.Errorf("%q became %s", path, value)
		}
	}
}

func TestALineOfPasswd(t *testing.T) {
	who, err := parseAccount("ann:x:1000:1001:Ann,,,:/home/ann:/bin/sh\n")
	if err != nil || who.Username != "ann" || who.HomeDir != "/home/ann" || who.Uid != "1000" {
		t.Errorf("%+v, %v", who, err)
	}
	for _, line := range []string{"", "ann:x:1000", ":x:1:1::/:", "ann:x:1:1::/home:/bin/sh\nbob:x:2:2::/:/bin/sh"} {
		if who, err := parseAccount(line); err == nil {
			t.Errorf("%q: %+v", line, who)
		}
	}
}

package crash

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A secret that a user has in the environment and in the identity file is nobody
// else's. The description is for status and ls, and not for QEMU or who lists processes.
func TestACanaryIsSeenNowhere(t *testing.T) {
	const canary, description = "canary-3f9a1c", "robin-8b20d7"
	h := newHome(t)
	h.write(h.path("id_ed25519"), "-----BEGIN OPENSSH PRIVATE KEY-----\n"+canary+"\n-----END OPENSSH PRIVATE KEY-----\n")
	h.define("[ssh]\nidentity = \"" + h.path("id_ed25519") + "\"\n")
	text, err := os.ReadFile(h.definition(web))
	if err != nil {
		t.Fatal(err)
	}
	h.write(h.definition(web), "description = \""+description+"\"\n"+string(text))

	secret := []string{"QLAUNCH_TOKEN=" + canary, "SSH_AUTH_SOCK=/" + canary, "http_proxy=http://" + canary + "@proxy"}
	seen := map[string]string{}
	for _, args := range [][]string{{"up", "-v", web}, {"status", web, "-o", "json"}, {"status", web}, {"ls", "-o", "json"}, {"ls"},
		{"argv", web}, {"argv", web, "-o", "json"}, {"up", "--dry-run", web}, {"logs", web}, {"logs", "--qemu", web}} {
		e := h.run(append([]string{programs.qlaunch}, args...), secret)
		if e.code != 0 {
			t.Fatalf("%s: exit code %d\n%s", e.line, e.code, e.err)
		}
		seen[strings.Join(args, " ")] = e.out + e.err
	}
	running := h.settled(web)
	if len(running) != 1 {
		t.Fatalf("QEMUs: %v, want one", running)
	}
	proc := filepath.Join("/proc", strconv.Itoa(running[0].pid))
	for _, file := range []string{filepath.Join(proc, "cmdline"), filepath.Join(proc, "environ"),
		h.path("state/qlaunch/web/qemu.log"), h.path("state/qlaunch/web/console.log")} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		seen[file] = string(text)
	}
	for where, text := range seen {
		forUsers := strings.HasPrefix(where, "status") || strings.HasPrefix(where, "ls")
		if strings.Contains(text, canary) || !forUsers && strings.Contains(text, description) {
			t.Errorf("%s tells a secret:\n%s", where, text)
		}
	}
	h.comesBack()
}

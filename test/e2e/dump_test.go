package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/qlaunch/qlaunch/test/world"
)

// dump writes all that may tell why a script failed: the command line of each
// QEMU, each VM's logs, the leases, and what the DHCP server saw.
func dump(w io.Writer) {
	for _, p := range processes() {
		if strings.HasPrefix(p.name, "qemu") {
			section(w, fmt.Sprintf("command line of process %d", p.pid), p.commandLine())
		}
	}
	for _, pattern := range []string{
		world.Home + "/.config/qlaunch/vms/*.toml",
		world.Home + "/.local/state/qlaunch/*/*",
		fmt.Sprintf("/run/user/%d/qlaunch/*/config.toml", os.Getuid()),
		world.Leases, world.Log, "/etc/qemu/bridge.conf",
	} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				text = []byte(err.Error())
			}
			section(w, file, string(text))
		}
	}
	for _, argv := range [][]string{{"ip", "-d", "address"}, {"ip", "neighbour"}, {"/usr/sbin/bridge", "fdb"}} {
		text, _ := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		section(w, strings.Join(argv, " "), string(text))
	}
	argv, _ := filepath.Glob(world.Home + "/.config/qlaunch/vms/*.toml")
	for _, file := range argv {
		text, _ := exec.Command("qlaunch", "argv", nameOfVM(file)).CombinedOutput()
		section(w, "qlaunch argv "+nameOfVM(file), string(text))
	}
}

func nameOfVM(file string) string { return strings.TrimSuffix(filepath.Base(file), ".toml") }

func section(w io.Writer, title, text string) {
	fmt.Fprintf(w, "\n----- %s\n%s\n", title, strings.TrimSpace(text))
}

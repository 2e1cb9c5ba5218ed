package netsetup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestWhatRootUsesIsRootsAloneOnTheWholeWayToIt(t *testing.T) {
	me := uint32(os.Geteuid())
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	file := func(name string, mode fs.FileMode) {
		must(t, os.MkdirAll(filepath.Dir(at(name)), 0o755))
		must(t, os.WriteFile(at(name), nil, 0o755))
		must(t, os.Chmod(at(name), mode))
	}
	dir := func(name string, mode fs.FileMode) {
		must(t, os.MkdirAll(at(name), 0o755))
		must(t, os.Chmod(at(name), mode))
	}
	link := func(target, name string) {
		must(t, os.MkdirAll(filepath.Dir(at(name)), 0o755))
		must(t, os.Symlink(target, at(name)))
	}
	file("usr/sbin/nft", 0o755)
	file("usr/lib/qemu/helper", 0o755|fs.ModeSetuid)
	file("usr/sbin/iptables-nft", 0o755)
	link("usr/sbin", "sbin")
	link("/etc/alternatives/iptables", "usr/sbin/iptables")
	link("/usr/sbin/iptables-nft", "etc/alternatives/iptables")
	link("nowhere", "etc/dangling")
	file("shared/sbin/tool", 0o755)
	dir("shared", 0o775)
	file("open/sbin/tool", 0o755)
	dir("open", 0o777)
	file("tmp/sbin/tool", 0o755)
	dir("tmp", 0o777|fs.ModeSticky)
	link("/shared/sbin/tool", "usr/sbin/to-shared")
	link("../../tmp/sbin", "usr/share/up")
	file("usr/sbin/group", 0o775)
	file("usr/sbin/world", 0o757)
	link("loop", "usr/loop")

	group := GroupName(uint32(os.Getegid()))
	for path, want := range map[string]string{
		"/usr/sbin/nft":              "",
		"/sbin/nft":                  "",
		"/usr/lib/qemu/helper":       "",
		"/sbin/iptables":             "", // two links, the second by way of the root
		"/usr/lib/../sbin/nft":       "",
		"/etc/qlaunch/dnsmasq.conf":  "", // neither is there yet
		"/usr/sbin/nft/no-directory": "",
		"/etc/dangling":              "",
		"/":                          "",
		"/shared/sbin/tool":          "/shared/sbin/tool: not root's alone: by way of /shared: mode 0775: group " + group + " can write it",
		"/shared":                    "/shared: not root's alone: /shared: mode 0775: group " + group + " can write it",
		"/open/sbin/tool":            "/open/sbin/tool: not root's alone: by way of /open: mode 0777: others can write it",
		"/open/not/there/yet":        "/open/not/there/yet: not root's alone: by way of /open: mode 0777: others can write it",
		"/tmp/sbin/tool":             "/tmp/sbin/tool: not root's alone: by way of /tmp: mode 1777: others can write it",
		"/usr/sbin/to-shared":        "/usr/sbin/to-shared: not root's alone: by way of /shared: mode 0775: group " + group + " can write it",
		"/usr/share/up/tool":         "/usr/share/up/tool: not root's alone: by way of /tmp: mode 1777: others can write it",
		"/usr/sbin/group":            "/usr/sbin/group: not root's alone: /usr/sbin/group: mode 0775: group " + group + " can write it",
		"/usr/sbin/world":            "/usr/sbin/world: not root's alone: /usr/sbin/world: mode 0757: others can write it",
		"/usr/loop":                  "follow /usr/loop: too many levels of symbolic links",
	} {
		got := ""
		if err := trusted(root, path, me); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}

	// What is another's: all of it is, to a root who is somebody else.
	err := trusted(root, "/usr/sbin/nft", me+1)
	if e, ok := errors.AsType[*UntrustedError](err); !ok || e.Component != "/" || e.Mode || e.Why != "belongs to user "+UserName(me) {
		t.Errorf("got %v", err)
	}
	if me != 0 {
		return // only root can give files away
	}
	const other = 4711
	must(t, os.Lchown(at("usr/share/up"), other, 0))
	must(t, os.Chown(at("usr/lib"), other, 0))
	for path, part := range map[string]string{"/usr/share/up/tool": "/usr/share/up", "/usr/lib/qemu/helper": "/usr/lib"} {
		want := fmt.Sprintf("%s: not root's alone: by way of %s: belongs to user %d", path, part, other)
		if err := trusted(root, path, me); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A setuid program has root's uid, and whatever argv its caller likes.
func TestAProcessIsWhatItExecutesAndNotWhatItIsCalled(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	must(t, err)
	run := func(path, name string) int {
		cmd := exec.CommandContext(t.Context(), path, "1000")
		cmd.Args = []string{name, "1000"}
		must(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd.Process.Pid
	}
	impostor := run(sleep, "dnsmasq")
	if RunsProgram("/", impostor, "dnsmasq") {
		t.Error("a sleep that is called dnsmasq is taken for it")
	}
	real, err := filepath.EvalSymlinks(sleep)
	must(t, err)
	if !RunsProgram("/", impostor, filepath.Base(real)) {
		t.Errorf("it is no %s either", real)
	}

	// The same file below a directory that is another's to change.
	copied := filepath.Join(t.TempDir(), "dnsmasq")
	text, err := os.ReadFile(sleep)
	must(t, err)
	must(t, os.WriteFile(copied, text, 0o755))
	pid := run(copied, "dnsmasq")
	if got := RunsProgram("/", pid, "dnsmasq"); got != (os.Geteuid() != 0) { // below /tmp it is nobody's word to root
		t.Errorf("one below a temporary directory: %v", got)
	}
	if RunsProgram("/", 1<<22+1, "dnsmasq") { // above pid_max
		t.Error("no process is dnsmasq")
	}
}

func TestAUsersProcessThatIsCalledDnsmasqServesNoBridge(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("as an ordinary user this shows only what that user does himself")
	}
	root := plant(t, map[string]string{"1": "init", "9": "dnsmasq --interface=br0 --dhcp-range=10.0.0.2,10.0.0.9"})
	exe := filepath.Join(root, "proc/9/exe")
	target, err := os.Readlink(exe)
	must(t, err)
	if s := DHCPServer(root, "br0"); s.Kind != ServerDnsmasq {
		t.Fatalf("got %+v", s)
	}
	for name, change := range map[string]func() error{
		"another program": func() error { return os.Symlink(filepath.Join(filepath.Dir(target), "passwd"), exe) },
		"a user's file":   func() error { return errors.Join(os.Symlink(target, exe), os.Chown(target, 4711, 0)) },
		"a file open to a group": func() error {
			return errors.Join(os.Symlink(target, exe), os.Chown(target, 0, 0), os.Chmod(target, 0o775))
		},
		"no executable": func() error { return nil },
	} {
		must(t, os.Remove(exe))
		must(t, change())
		if s := DHCPServer(root, "br0"); s.Kind != "" {
			t.Errorf("%s: got %+v", name, s)
		}
		if name == "no executable" {
			must(t, os.Symlink(target, exe))
		}
	}
}

package world_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qlaunch/qlaunch/test/world"
)

// TestMain is four programs: the tests, the first process of a world, and, by
// the name that a test gives it there, a probe (probe_test.go) and a program
// that makes a world and waits.
func TestMain(m *testing.M) {
	if code, ok := world.Main(os.Args, os.Stdin, os.Stdout, os.Stderr); ok {
		os.Exit(code)
	}
	switch filepath.Base(os.Args[0]) {
	case "probe":
		os.Exit(probe(os.Args[1:]))
	case "outermost":
		os.Exit(outermost())
	}
	os.Exit(m.Run())
}

// result is what a command in a world left.
type result struct {
	Code           int
	Stdout, Stderr string
}

// run runs argv in a world, in which the test's own program is there as "probe".
func run(t *testing.T, o world.Options, argv ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := command(ctx, t, o, argv...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	} else if ok && !ended.Exited() {
		t.Fatalf("%v: the world was killed: %s", err, &stderr)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func command(ctx context.Context, t *testing.T, o world.Options, argv ...string) *exec.Cmd {
	t.Helper()
	files := map[string]string{"bin/probe": self(t)}
	maps.Copy(files, o.Copy)
	o.Copy = files
	cmd, err := world.Command(ctx, o, argv...)
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

func self(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// onlyRoot ends a test of what a user namespace cannot show.
func onlyRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("the machine lets only root make such a world")
	}
}

func TestTheUserFindsAHostThatWasSetUpWell(t *testing.T) {
	uid := os.Getuid()
	if uid == 0 {
		uid = world.User
	}
	for _, c := range []struct{ what, script, want string }{
		{"an account of its own", "id -u; id -un; echo ~", fmt.Sprintf("%d\nuser\n/mnt/home\n", uid)},
		{"an empty home", "pwd; ls -A", "/mnt/home\n"},
		{"a runtime directory", "stat -c '%a %U' $XDG_RUNTIME_DIR; echo $XDG_RUNTIME_DIR", fmt.Sprintf("700 user\n/run/user/%d\n", uid)},
		{"an ACL", "ls -A /etc/qemu; cat /etc/qemu/bridge.conf", "bridge.conf\nallow virbr0\n"},
		{"a tun device", "stat -c '%a %F' /dev/net/tun", "666 character special file\n"},
		{"a lease file", "stat -c '%a' /var/lib/misc/dnsmasq.leases; cat /var/lib/misc/dnsmasq.leases", "644\n"},
		{"a DHCP server", "grep -c 'DHCP, IP range 192.168.122.2 -- 192.168.122.254' $WORLD_DIR/dnsmasq.log", "1\n"},
		{"a bridge", "ip -br -4 addr show virbr0 | tr -s ' '; ip -o link show virbr0 | grep -o '<.*,UP'",
			"virbr0 DOWN 192.168.122.1/24 \n<NO-CARRIER,BROADCAST,MULTICAST,UP\n"}, // down: it has no port yet
		{"no link to the outside", "ip -br link | cut -d' ' -f1", "lo\nvirbr0\n"},
		{"no process of the host's", "for p in /proc/[0-9]*/comm; do read -r name <$p; echo $name >>list; done; sort list", "dnsmasq\nsh\nworld\n"},
	} {
		t.Run(c.what, func(t *testing.T) {
			got := run(t, world.Options{}, "sh", "-c", c.script)
			if diff := cmp.Diff(result{Stdout: c.want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheUserHasNoPrivilegeButWhatStandsInForTheSetuidBit(t *testing.T) {
	want := "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\n"
	if os.Getuid() != 0 {
		want = strings.ReplaceAll(want, "0000000000000000", "0000000000001000") // CAP_NET_ADMIN
	}
	got := run(t, world.Options{}, "grep", "-E", "CapPrm|CapEff|CapAmb|NoNewPrivs", "/proc/self/status")
	if diff := cmp.Diff(result{Stdout: want}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheHelperGivesATapOnTheBridge(t *testing.T) {
	got := run(t, world.Options{}, "probe", "tap", "virbr0")
	if diff := cmp.Diff(result{Stdout: "tap0 is a port of virbr0\n"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestEachFaultOfAHostIsTheRealOne(t *testing.T) {
	for _, c := range []struct {
		what    string
		root    bool // only root can make such a world
		options world.Options
		want    string
	}{
		{"the ACL allows another", false, world.Options{BridgeConf: "allow br7"}, "access denied by acl file\n"},
		{"no ACL", false, world.Options{Setup: "rm /etc/qemu/bridge.conf"}, "failed to parse default acl file `/etc/qemu/bridge.conf'\n"},
		{"no such bridge", false, world.Options{Bridges: []world.Bridge{}}, "failed to get mtu of bridge `virbr0': No such device\n"},
		{"no helper", false, world.Options{Helper: "missing"}, "fork/exec /usr/lib/qemu/qemu-bridge-helper: no such file or directory\n"},
		{"no tun device", false, world.Options{Tun: "absent"}, "failed to open /dev/net/tun: No such file or directory\n"},
		{"tun is closed", true, world.Options{Tun: "closed"}, "failed to open /dev/net/tun: Permission denied\n"},
		{"the helper is not setuid", true, world.Options{Helper: "plain"}, "failed to create tun device: Operation not permitted\n"},
		{"the helper is on a nosuid mount", true, world.Options{Helper: "nosuid"}, "failed to create tun device: Operation not permitted\n"},
		{"no_new_privs", true, world.Options{NoNewPrivs: true}, "failed to create tun device: Operation not permitted\n"},
		{"the user is not in the helper's group", true, world.Options{Setup: "chgrp 0 $HELPER; chmod 4750 $HELPER"}, "fork/exec /usr/lib/qemu/qemu-bridge-helper: permission denied\n"},
	} {
		t.Run(c.what, func(t *testing.T) {
			if c.root {
				onlyRoot(t)
			}
			got := run(t, c.options, "probe", "tap", "virbr0")
			if diff := cmp.Diff(result{Code: 1, Stderr: c.want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBridgesAreAsGiven(t *testing.T) {
	var one, two world.Bridge
	if err := errors.Join(one.UnmarshalText([]byte("br1=10.1.0.1/16")), two.UnmarshalText([]byte("br2,down"))); err != nil {
		t.Fatal(err)
	}
	got := run(t, world.Options{Bridges: []world.Bridge{one, two}}, "sh", "-c",
		`ip -o link | sed -n 's/^.*: \(br.\): <\(.*\)> .*/\1 \2/p'; ip -br -4 addr show br1 | tr -s ' '; grep -o 'DHCP, IP range .*,' $WORLD_DIR/dnsmasq.log`)
	want := "br1 NO-CARRIER,BROADCAST,MULTICAST,UP\nbr2 BROADCAST,MULTICAST\nbr1 DOWN 10.1.0.1/16 \nDHCP, IP range 10.1.0.2 -- 10.1.255.254,\n"
	if diff := cmp.Diff(result{Stdout: want}, got); diff != "" {
		t.Error(diff)
	}
}

func TestKVMIsAsGiven(t *testing.T) {
	got := run(t, world.Options{KVM: "absent"}, "sh", "-c", "! test -e /dev/kvm")
	if diff := cmp.Diff(result{}, got); diff != "" {
		t.Error("absent:", diff)
	}
	onlyRoot(t)
	if _, err := os.Stat("/dev/kvm"); err != nil {
		return // the world has what the machine has
	}
	for state, mode := range map[string]string{"open": "666\n", "closed": "600\n"} {
		got := run(t, world.Options{KVM: state}, "stat", "-c", "%a", "/dev/kvm")
		if diff := cmp.Diff(result{Stdout: mode}, got); diff != "" {
			t.Error(state, diff)
		}
	}
}

func TestCopiesBelongToTheUserAndKeepTheirModes(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(
		os.Chmod(dir, 0o700),
		os.Mkdir(filepath.Join(dir, "sub"), 0o755),
		os.WriteFile(filepath.Join(dir, "sub", "key"), []byte("secret\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "tool"), []byte("#!/bin/sh\necho tool\n"), 0o755),
	); err != nil {
		t.Fatal(err)
	}
	o := world.Options{Copy: map[string]string{"all": dir, "bin/tool": filepath.Join(dir, "tool")}}
	got := run(t, o, "sh", "-c", "tool; cd $WORLD_DIR/all; cat sub/key; stat -c '%a %U %n' sub sub/key tool")
	want := "tool\nsecret\n755 user sub\n600 user sub/key\n755 user tool\n"
	if diff := cmp.Diff(result{Stdout: want}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheExitCodeIsTheCommands(t *testing.T) {
	for _, c := range []struct {
		what string
		o    world.Options
		argv []string
		want result
	}{
		{"its own", world.Options{}, []string{"sh", "-c", "echo out; echo err >&2; exit 37"}, result{37, "out\n", "err\n"}},
		{"killed", world.Options{}, []string{"sh", "-c", "kill -KILL $$"}, result{Code: 137}},
		{"no such command", world.Options{}, []string{"nosuch"},
			result{world.ExitBroken, "", "world: error: \"nosuch\": executable file not found in $PATH\n"}},
		{"the set-up fails", world.Options{Setup: "exit 3"}, []string{"true"},
			result{world.ExitBroken, "", "world: error: run the set-up script: exit status 3\n"}},
		{"a bridge that cannot be", world.Options{Bridges: []world.Bridge{{Name: "longer-than-linux-allows"}}}, []string{"true"},
			result{world.ExitBroken, "", "world: error: make the bridges: longer-than-linux-allows: numerical result out of range\n"}},
		{"nothing to copy", world.Options{Copy: map[string]string{"x": "/nonexistent"}}, []string{"true"},
			result{world.ExitBroken, "", "world: error: open what is copied: open /nonexistent: no such file or directory\n"}},
		{"a copy outside", world.Options{Copy: map[string]string{"../x": "/etc/passwd"}}, []string{"true"},
			result{world.ExitBroken, "", "world: error: open what is copied: \"../x\": must be a path inside the world's directory\n"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			if diff := cmp.Diff(c.want, run(t, c.o, c.argv...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDnsmasqStartsAndStopsOnDemand(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := command(ctx, t, world.Options{DHCP: "later"}, "sh", "-c",
		"wc -c <$WORLD_DIR/dnsmasq.log; echo start >$WORLD_DIR/dhcp; exec tail -f -n +1 $WORLD_DIR/dnsmasq.log")
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	if lines.Scan(); lines.Text() != "0" {
		t.Errorf("the log before the start: got %q, want 0 bytes", lines.Text())
	}
	for lines.Scan() && !strings.Contains(lines.Text(), "DHCP, IP range") {
	}
	if ctx.Err() != nil {
		t.Error("dnsmasq was not started")
	}
	cancel()
	_ = cmd.Wait() // it was killed
}

package host

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/netsetup"
)

func setup(t *testing.T, ask Request) []Step {
	t.Helper()
	var steps []Step
	must(t, Setup(t.Context(), ask, func(_ Spec, plan []Step) { steps = plan }))
	return steps
}

func teardown(t *testing.T) []Left {
	t.Helper()
	var left []Left
	must(t, Teardown(t.Context(), false, func(_ []Step, l []Left) { left = l }))
	return left
}

func proven(t *testing.T, bridge string) {
	t.Helper()
	others, err := Verify(t.Context(), bridge)
	if err != nil || len(others) > 0 {
		t.Errorf("Prove %s: %v, with the groups %v", bridge, err, others)
	}
}

func same(t *testing.T, before string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(snapshot(t), "\n")); diff != "" {
		t.Errorf("the host is not what it was (-before +after):\n%s", diff)
	}
}

func TestSetupDoesAllOnceAndTeardownLeavesNothing(t *testing.T) {
	if !onAHost(t) {
		return
	}
	before := snapshot(t)
	if steps := setup(t, Request{Users: []string{"guest1"}}); len(steps) < 15 {
		t.Errorf("only %d steps", len(steps))
	}
	proven(t, netsetup.OwnBridge)
	ready := snapshot(t)
	if steps := setup(t, Request{}); len(steps) != 0 {
		t.Errorf("a second run does %v", steps)
	}
	same(t, ready)
	steps, left, err := PlanTeardown(t.Context())
	if err != nil || len(steps) < 15 || len(left) != 0 {
		t.Errorf("teardown would take %d steps, and leave %v: %v", len(steps), left, err)
	}
	same(t, ready)
	if left := teardown(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	same(t, before)
}

func TestTheAdministratorsFilesComeBackByteForByte(t *testing.T) {
	if !onAHost(t) {
		return
	}
	must(t, os.Mkdir("/etc/qemu", 0o755))
	must(t, os.WriteFile(netsetup.DefaultACL, []byte("# caf\xe9\r\nallow br0"), 0o600))
	_, err := run(t.Context(), "", "iptables", "-P", "FORWARD", "DROP")
	must(t, err)
	_, err = run(t.Context(), "table ip mine { chain c { type filter hook forward priority 0; }; }\n", "nft", "-f", "-")
	must(t, err)
	before := snapshot(t)
	setup(t, Request{})
	proven(t, netsetup.OwnBridge)
	teardown(t)
	same(t, before)
}

func TestWhatChangedSinceSetupStays(t *testing.T) {
	if !onAHost(t) {
		return
	}
	setup(t, Request{})
	f, err := os.OpenFile(netsetup.DefaultACL, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString("allow br0\n")
	must(t, errors.Join(err, f.Close(), os.Chmod("/usr/lib/qemu/qemu-bridge-helper", 0o755|os.ModeSetuid)))
	left := teardown(t)
	if len(left) != 1 || left[0].Kind != KindMode {
		t.Errorf("left: %v", left)
	}
	if acl, err := os.ReadFile(netsetup.DefaultACL); string(acl) != "allow br0\n" {
		t.Errorf("the ACL is %q, %v", acl, err)
	}
}

func TestABridgeOfAnotherIsOnlyAllowed(t *testing.T) {
	if !onAHost(t) {
		return
	}
	must(t, setBridge("br0", bridgeState{Up: true, MAC: []byte{2, 0, 0, 0, 0, 1}, AcceptRA: "0"}.String()))
	before := snapshot(t)
	setup(t, Request{})
	steps := setup(t, Request{Bridge: "br0"})
	if len(steps) != 1 || steps[0].Kind != KindFile {
		t.Errorf("the second bridge takes %v", steps)
	}
	proven(t, "br0")
	proven(t, netsetup.OwnBridge)
	if steps := setup(t, Request{}); len(steps) != 0 {
		t.Errorf("qlbr0 is forgotten: %v", steps)
	}
	teardown(t)
	same(t, before)
}

func TestTeardownRefusesWhileATapIsOnTheBridge(t *testing.T) {
	if !onAHost(t) {
		return
	}
	setup(t, Request{})
	helper, err := netsetup.FindHelper("")
	must(t, err)
	tap, err := netsetup.OpenTap(t.Context(), helper, netsetup.OwnBridge)
	must(t, err)
	defer tap.File.Close()
	ready := snapshot(t)
	err = Teardown(t.Context(), false, func([]Step, []Left) { t.Error("it begins") })
	want := fmt.Sprintf(`bridge "qlbr0": in use by tap0 (pid %d of root)`, os.Getpid())
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	same(t, ready)
	must(t, Teardown(t.Context(), true, func([]Step, []Left) {}))
}

func TestWhatAnotherCouldChangeIsRefusedBeforeAnythingIsDone(t *testing.T) {
	if !onAHost(t) {
		return
	}
	guest, err := user.Lookup("guest1")
	must(t, err)
	uid, err := strconv.Atoi(guest.Uid)
	must(t, err)
	before := snapshot(t)
	for _, test := range []struct {
		name      string
		spoil     func() error
		component string
	}{
		{"a group's directory", func() error { return os.Chmod("/usr/lib/qemu", 0o775|fs.ModeSetgid) }, "/usr/lib/qemu"},
		{"everybody's directory", func() error { return os.Chmod("/etc", 0o777) }, "/etc"},
		{"a sticky one", func() error {
			return errors.Join(os.Mkdir("/etc/qlaunch", 0o755), os.Chmod("/etc/qlaunch", 0o777|fs.ModeSticky))
		}, "/etc/qlaunch"},
		{"a user's directory", func() error { return errors.Join(os.MkdirAll("/etc/qemu", 0o755), os.Chown("/etc/qemu", uid, 0)) }, "/etc/qemu"},
		{"a user's link", func() error {
			return errors.Join(os.Symlink("/var/lib/elsewhere", netsetup.StateDir), os.Mkdir("/var/lib/elsewhere", 0o755), os.Lchown(netsetup.StateDir, uid, 0))
		}, netsetup.StateDir},
		{"a user's directory behind a link of root's", func() error {
			return errors.Join(os.Mkdir("/var/lib/guest1", 0o755), os.Chown("/var/lib/guest1", uid, 0),
				os.RemoveAll("/etc/sysctl.d"), os.Symlink("/var/lib/guest1", "/etc/sysctl.d"))
		}, "/var/lib/guest1"},
		{"a user's ACL", func() error {
			return errors.Join(os.MkdirAll("/etc/qemu", 0o755), os.WriteFile(netsetup.DefaultACL, nil, 0o644), os.Chown(netsetup.DefaultACL, uid, 0))
		}, netsetup.DefaultACL},
		{"a helper that a group can write", func() error { return os.Chmod("/usr/lib/qemu/qemu-bridge-helper", 0o775) }, "/usr/lib/qemu/qemu-bridge-helper"},
		{"a lock that a user holds ready", func() error { return os.Chmod("/run", 0o777|fs.ModeSticky) }, "/run"},
	} {
		restore := layersOf(t)
		must(t, test.spoil())
		err := Setup(t.Context(), Request{}, func(Spec, []Step) { t.Errorf("%s: it begins", test.name) })
		if e, ok := errors.AsType[*netsetup.UntrustedError](err); !ok || e.Component != test.component {
			t.Errorf("%s: got %v, want that %s is not root's alone", test.name, err, test.component)
		}
		restore()
	}

	// What becomes another's after it is set up is neither run nor put back.
	setup(t, Request{})
	must(t, os.Chown("/etc/qlaunch", uid, 0))
	err = Teardown(t.Context(), false, func([]Step, []Left) {})
	if e, ok := errors.AsType[*netsetup.UntrustedError](err); !ok || e.Component != "/etc/qlaunch" {
		t.Errorf("teardown: got %v", err)
	}
	if _, err := os.Stat(netsetup.DNSConfig(netsetup.OwnBridge)); err != nil {
		t.Errorf("it was removed by way of the user's directory: %v", err)
	}
	must(t, os.Chown("/etc/qlaunch", 0, 0))
	teardown(t)
	same(t, before)
}

// layersOf puts the host's directories under a second layer each, which what it returns takes away again.
func layersOf(t *testing.T) (restore func()) {
	t.Helper()
	dirs := []string{"/etc", "/var/lib", "/usr/local", "/usr/lib/qemu", "/run"}
	base, err := os.MkdirTemp(os.Getenv(insideVar), "layer") //nolint:usetesting // what is detached below it may outlive the test
	must(t, err)
	for i, dir := range dirs {
		upper, work := filepath.Join(base, fmt.Sprint(i, "upper")), filepath.Join(base, fmt.Sprint(i, "work"))
		must(t, errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)))
		must(t, unix.Mount("layer", dir, "overlay", 0, "lowerdir="+dir+",upperdir="+upper+",workdir="+work))
	}
	return func() {
		for _, dir := range dirs {
			must(t, unix.Unmount(dir, unix.MNT_DETACH))
		}
	}
}

func TestAServerInTheWayIsNamed(t *testing.T) {
	if !onAHost(t) {
		return
	}
	before := snapshot(t)
	for network, port := range map[string]int{"tcp": 53, "udp": 67} {
		argv := []string{"--no-daemon", "--conf-file=/dev/null", "--user=root", "--port=53"}
		if network == "udp" {
			argv = []string{"--no-daemon", "--conf-file=/dev/null", "--user=root", "--port=0", "--dhcp-range=10.9.9.2,10.9.9.3"}
		}
		other := exec.CommandContext(t.Context(), "dnsmasq", argv...)
		must(t, other.Start())
		for listener("/proc/net/"+network, port) == "" {
			must(t, t.Context().Err())
		}
		err := Setup(t.Context(), Request{}, func(Spec, []Step) { t.Error("it begins") })
		want := fmt.Sprintf("%s port %d: taken on every address of the host: by dnsmasq, pid %d", network, port, other.Process.Pid)
		if !errors.Is(err, netsetup.ErrPortTaken) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
		must(t, other.Process.Kill())
		_ = other.Wait()
	}
	same(t, before)
}

func TestTwoAtATimeAreOne(t *testing.T) {
	if !onAHost(t) {
		return
	}
	release, err := lock()
	must(t, err)
	defer release()
	if err := Setup(t.Context(), Request{}, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
	if err := Teardown(t.Context(), false, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
}

func TestAHostileEnvironmentChangesNothing(t *testing.T) {
	if !onAHost(t) {
		return
	}
	setup(t, Request{})
	want := snapshot(t)
	teardown(t)
	evil := t.TempDir()
	for _, name := range []string{"nft", "iptables", "iptables-restore", "dnsmasq", "gpasswd", "dpkg-statoverride"} {
		must(t, os.WriteFile(filepath.Join(evil, name), []byte("#!/bin/sh\ntouch "+evil+"/was-run\n"), 0o755))
	}
	cmd := exec.Command("sh", "-c", `umask 0; exec "$0"`, filepath.Join(os.Getenv(insideVar), "setup"))
	cmd.Env = []string{"PATH=" + evil, "HOME=" + evil, "TMPDIR=" + evil, "XDG_CONFIG_HOME=" + evil, "SUDO_UID=1", "SUDO_USER=guest1",
		"LD_LIBRARY_PATH=" + evil, "LC_ALL=de_DE.UTF-8", "DPKG_ADMINDIR=" + evil, "IFS=x", "BASH_ENV=" + evil + "/nft"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(evil, "was-run")); err == nil {
		t.Error("a program of the user's was run by root")
	}
	pid := func(s string) string { return s[:strings.LastIndex(strings.TrimSpace(s), "\n")+1] } // dnsmasq's differs
	if diff := cmp.Diff(pid(want), pid(snapshot(t))); diff != "" {
		t.Errorf("(-in order +hostile):\n%s", diff)
	}
}

// every is which of the moments are tried: each takes a setup and a teardown or two.
var every = flag.Int("every", 10, "of the system calls at which setup is hurt, try each of that number")

func TestWhatIsKilledIsCompletedByTheNext(t *testing.T) {
	if !onAHost(t) {
		return
	}
	before := snapshot(t)
	points := 0
	for _, program := range []string{"setup", "teardown"} {
		for _, call := range []string{"write", "fsync", "renameat", "unlinkat", "mkdirat", "fchmod", "fchown", "sendto", "clone", "pidfd_send_signal"} {
			for n := 1; ; n += *every {
				if program == "teardown" {
					setup(t, Request{Users: []string{"guest1"}})
				}
				if !hurt(t, program, fmt.Sprintf("%s:signal=KILL:when=%d", call, n)) {
					break
				}
				points++
				if program == "setup" {
					setup(t, Request{Users: []string{"guest1"}})
					if steps := setup(t, Request{}); len(steps) > 0 {
						t.Errorf("%s killed at %s %d: setup after it leaves %v", program, call, n, steps)
					}
					proven(t, netsetup.OwnBridge)
				}
				teardown(t)
				same(t, before)
				if t.Failed() {
					t.Fatalf("%s was killed at %s, number %d", program, call, n)
				}
			}
			teardown(t)
		}
	}
	if points < 150 / *every {
		t.Errorf("only %d points", points)
	}
	t.Logf("%d points", points)
}

func forwards(t *testing.T) bool {
	t.Helper()
	value, err := lookSysctl("net.ipv4.ip_forward")
	must(t, err)
	return value == "1"
}

// hurt runs one of the programs under strace with an injection, and says whether that took place: it is no longer there when the calls are used up.
func hurt(t *testing.T, program, inject string, arguments ...string) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	call, _, _ := strings.Cut(inject, ":")
	trace := filepath.Join(t.TempDir(), "trace")
	argv := []string{"-f", "-b", "execve", "-o", trace, "-e", "trace=" + call, "-e", "inject=" + inject, filepath.Join(os.Getenv(insideVar), program)}
	argv = append(argv, arguments...)
	if program == "setup" {
		argv = append(argv, "guest1")
	}
	out, err := exec.CommandContext(ctx, "strace", argv...).CombinedOutput()
	text, _ := os.ReadFile(trace)
	if !strings.Contains(string(text), "(INJECTED)") && !strings.Contains(string(text), "killed by SIGKILL") {
		if err != nil {
			t.Fatalf("strace %q: %v\n%s", argv, err, out)
		}
		return false
	}
	return true
}

func TestADiskThatIsFullIsAsIfNothingHadBegun(t *testing.T) {
	if !onAHost(t) {
		return
	}
	before := snapshot(t)
	points := 0
	for _, call := range []string{"write", "fsync", "renameat", "mkdirat"} {
		for n := 1; hurt(t, "setup", fmt.Sprintf("%s:error=ENOSPC:when=%d", call, n)); n += *every {
			points++
			if done := forwards(t); done { // the call did not matter
				teardown(t)
			}
			same(t, before)
			if t.Failed() {
				t.Fatalf("there was no space at %s, number %d", call, n)
			}
		}
		teardown(t)
	}
	if points < 60 / *every {
		t.Errorf("only %d points", points)
	}
	t.Logf("%d points", points)
}

func TestWhatAFailedSetupWantedIsForgottenAndWhatCameBeforeIsNot(t *testing.T) {
	if !onAHost(t) {
		return
	}
	yes := true
	before := snapshot(t)
	setup(t, Request{Users: []string{"guest1"}})
	ready := snapshot(t) // the journal is part of it
	again := func() {    // after one that was not hurt
		t.Helper()
		no := false
		setup(t, Request{Isolate: &no})
		ready = snapshot(t)
	}
	points := 0
	for _, call := range []string{"write", "fsync", "renameat", "sendto"} {
		for n := 1; hurt(t, "setup", fmt.Sprintf("%s:error=ENOSPC:when=%d", call, n), "--isolate"); n += *every {
			if want, have, err := Prepare(t.Context(), Request{}); err != nil {
				t.Fatal(err)
			} else if want.Isolate { // the call did not matter
				if steps := Plan(want, have); len(steps) > 0 {
					t.Errorf("%s %d: what is wanted now is not done: %v", call, n, steps)
				}
				again()
				continue
			}
			points++
			same(t, ready)
			if t.Failed() {
				t.Fatalf("it failed at %s, number %d", call, n)
			}
		}
		again()
	}
	if points == 0 {
		t.Error("no point")
	}
	t.Logf("%d points", points)
	setup(t, Request{Isolate: &yes})
	if steps := setup(t, Request{}); len(steps) > 0 {
		t.Errorf("what the last one wanted is forgotten: %v", steps)
	}
	teardown(t)

	// A first one that fails leaves nothing to go by: the next is as if it were the first.
	if !hurt(t, "setup", "renameat:error=ENOSPC:when=9", "--isolate") {
		t.Error("the first one did not fail")
	}
	same(t, before)
	if want, _, err := Prepare(t.Context(), Request{}); err != nil || want.Isolate {
		t.Errorf("wanted: %+v, %v", want, err)
	}
}

func TestAJournalThatCannotBeWrittenStaysWhatIsOnTheDisk(t *testing.T) {
	if !onAHost(t) {
		return
	}
	setup(t, Request{})
	j, err := readJournal()
	must(t, err)
	known := j.steps()[0]
	must(t, unix.Mount(netsetup.StateDir, netsetup.StateDir, "", unix.MS_BIND, ""))
	must(t, unix.Mount("", netsetup.StateDir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	for _, s := range []Step{
		{Item: known.Item, From: known.To, To: "other", Then: []string{"true"}},
		{Item: Item{Kind: KindFile, Name: "/etc/other"}, To: "0644 root:root\n"},
	} {
		if err := j.note(Spec{Bridge: "other", Own: true}, s); !errors.Is(err, unix.EROFS) {
			t.Errorf("got %v", err)
		}
	}
	on, err := readJournal()
	must(t, err)
	if diff := cmp.Diff(fmt.Sprint(on), fmt.Sprint(j)); diff != "" {
		t.Errorf("(-disk +memory)\n%s", diff)
	}
	must(t, unix.Unmount(netsetup.StateDir, 0))
	teardown(t)
}

func TestNoCopyOfAFileIsOpenToMoreThanTheFile(t *testing.T) {
	if !onAHost(t) {
		return
	}
	// A killed run has left a half-written file that everybody can read, and somebody has it open.
	path := "/etc/qemu-secret"
	must(t, os.WriteFile(beside(path), []byte("half"), 0o644))
	open, err := os.Open(beside(path))
	must(t, err)
	defer open.Close()
	must(t, setFile(path, fileState(0o640, "root", Group, []byte("secret"))))
	if text, err := io.ReadAll(open); err != nil || strings.Contains(string(text), "secret") {
		t.Errorf("who had what was left open reads %q, %v", text, err)
	}

	// An ACL that only root can read is in the journal.
	const secret = "# the bridge of project Xanadu\n"
	must(t, os.MkdirAll("/etc/qemu", 0o755))
	must(t, os.WriteFile(netsetup.DefaultACL, []byte(secret), 0o600))
	closed := func() {
		t.Helper()
		files, err := filepath.Glob(netsetup.StateDir + "/*")
		must(t, err)
		found := false
		for _, file := range files {
			text, err := os.ReadFile(file)
			must(t, err)
			if !strings.Contains(string(text), "Xanadu") {
				continue
			}
			found = true
			if mode, err := lookMode(file); err != nil || mode != "0600 root:root" {
				t.Errorf("%s: %s, %v", file, mode, err)
			}
		}
		if !found {
			t.Error("it is in no file of the journal: the test tries nothing")
		}
	}
	setup(t, Request{})
	closed()
	must(t, os.Chmod(journalPath, 0o644)) // as an older version had it
	setup(t, Request{})
	closed()

	// What anybody's dry run goes by is there all the same.
	want := exec.Command("cat", wantedPath)
	want.SysProcAttr = &unix.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := want.Output(); err != nil || !strings.Contains(string(out), `"bridge": "qlbr0"`) || strings.Contains(string(out), "Xanadu") {
		t.Errorf("it says %s, %v", out, err)
	}
	teardown(t)
	if mode, err := lookMode(netsetup.DefaultACL); err != nil || mode != "0600 root:root" {
		t.Errorf("the ACL is %s now, %v", mode, err)
	}
}

func TestAnACLOfAnotherGroupStaysThatGroups(t *testing.T) {
	if !onAHost(t) {
		return
	}
	_, err := run(t.Context(), "", "groupadd", "--system", "guests")
	must(t, err)
	group, err := user.LookupGroup("guests")
	must(t, err)
	gid, err := strconv.Atoi(group.Gid)
	must(t, err)
	must(t, os.MkdirAll(filepath.Dir(aclInclude), 0o755))
	for _, file := range []string{netsetup.DefaultACL, aclInclude} {
		must(t, os.WriteFile(file, []byte("allow br0\n"), 0o640))
		must(t, os.Chown(file, 0, gid))
	}
	before := snapshot(t)
	setup(t, Request{})
	for _, file := range []string{netsetup.DefaultACL, aclInclude} {
		if mode, err := lookMode(file); err != nil || mode != "0640 root:guests" {
			t.Errorf("%s: %s, %v", file, mode, err)
		}
	}
	if others, err := Verify(t.Context(), netsetup.OwnBridge); err != nil || strings.Join(others, " ") != "guests" {
		t.Errorf("proven with %v: %v", others, err)
	}
	if steps := setup(t, Request{}); len(steps) > 0 {
		t.Errorf("a second run does %v", steps)
	}
	teardown(t)
	same(t, before)
}

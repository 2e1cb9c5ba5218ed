package netsetup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// fake is a helper that behaves as its mode says: a link to this test's own binary.
func fake(t *testing.T, dir, mode string) string {
	t.Helper()
	path := filepath.Join(dir, "helper-"+mode)
	must(t, os.Symlink(testBinary(t), path))
	return path
}

// openFiles are this process's open files with what they are.
func openFiles(t *testing.T) map[string]string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	files := map[string]string{}
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			files[e.Name()] = target
		}
	}
	return files
}

// nothingLeaks says at the end of the test what it has left open, or running. What was open before and
// is not any more, such as a socket of an earlier test that the collector has found, is no leak.
func nothingLeaks(t *testing.T) {
	t.Helper()
	warm, err := os.Open(t.TempDir()) // the runtime's own poller stays open from the first use on
	must(t, err)
	warm.Close()
	before := openFiles(t)
	t.Cleanup(func() {
		for fd, target := range openFiles(t) {
			if before[fd] != target {
				t.Errorf("file %s is left open: %s", fd, target)
			}
		}
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
			t.Errorf("a child is left: wait4 = %d, %v", pid, err)
		}
	})
}

func TestAnAnswerThatIsNotOneTapIsAnErrorAndLeaksNothing(t *testing.T) {
	tests := []struct {
		mode, want string
		cause      error
	}{
		{"no-fd", "no tap handed over: it sent 0 files, not one", ErrNoTapFD},
		{"two-fds", "no tap handed over: it sent 2 files, not one", ErrNoTapFD},
		{"two-messages", "no tap handed over: it sent 2 files, not one", ErrNoTapFD},
		{"many-fds", "no tap handed over: it sent 200 files, not one", ErrNoTapFD},
		{"wrong-fd", "no tap handed over: the file that it sent is not a tap", ErrNoTapFD},
		{"junk", "no tap handed over: it sent 0 files, not one", ErrNoTapFD},
		{"fd-and-exit-1", "ended in an error: exit status 1", ErrHelperFailed},
	}
	for _, tt := range tests {
		t.Run(tt.mode, func(t *testing.T) {
			nothingLeaks(t)
			helper := fake(t, t.TempDir(), tt.mode)
			_, err := OpenTap(t.Context(), helper, "virbr0")
			wantError(t, err, tt.cause, "tap on virbr0: bridge helper "+helper+": "+tt.want)
		})
	}
}

// wantError compares cause and whole text.
func wantError(t *testing.T, err, cause error, text string) {
	t.Helper()
	if !errors.Is(err, cause) {
		t.Errorf("cause is not %q: %v", cause, err)
	}
	if diff := cmp.Diff(text, fmt.Sprint(err)); diff != "" {
		t.Errorf("error text, - want, + got:\n%s", diff)
	}
}

func TestAHelperThatHangsIsKilledWithItsChildrenAtTheDeadline(t *testing.T) {
	nothingLeaks(t)
	helper, alive := family(t, "hang")
	ctx, expire := context.WithCancelCause(t.Context())
	dead := make(chan error, 1)
	go func() { dead <- outlive(alive, func() { expire(context.DeadlineExceeded) }) }()
	_, err := OpenTap(expiring{ctx}, helper, "virbr0")
	wantError(t, err, ErrHelperTimeout, "tap on virbr0: bridge helper "+helper+": no answer before the deadline")
	wantDead(t, dead)
}

// family is a fake helper that has a child, and the FIFO that both hold while they live.
func family(t *testing.T, mode string) (helper, alive string) {
	t.Helper()
	dir := t.TempDir()
	fake(t, dir, "sleep")
	alive = filepath.Join(dir, "alive")
	must(t, unix.Mkfifo(alive, 0o600))
	return fake(t, dir, mode), alive
}

// outlive returns when nobody holds the FIFO any more, and says before when it is held.
func outlive(alive string, held func()) error {
	f, err := os.Open(alive)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.ReadFull(f, make([]byte, 1)); err != nil {
		return err
	}
	held()
	_, err = io.Copy(io.Discard, f)
	return err
}

func wantDead(t *testing.T, dead <-chan error) {
	t.Helper()
	select {
	case err := <-dead:
		must(t, err)
	case <-time.After(30 * time.Second):
		t.Fatal("a process of the helper's group is alive")
	}
	reapOrphans()
}

// expiring is a context whose deadline passes when the test says so, instead of at a time.
type expiring struct{ context.Context }

func (e expiring) Err() error {
	if e.Context.Err() == nil {
		return nil
	}
	return context.Cause(e.Context)
}

// Value hides the context below from package context, which would ask that one.
func (expiring) Value(any) any { return nil }

// reapOrphans waits for grandchildren that a dead helper left to us, if this process is one that gets them.
func reapOrphans() {
	for {
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil || pid == 0 {
			return
		}
	}
}

func TestAHelperThatStopsItselfIsKilledAtTheDeadline(t *testing.T) {
	nothingLeaks(t)
	helper := fake(t, t.TempDir(), "stop")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := OpenTap(ctx, helper, "virbr0")
	wantError(t, err, ErrHelperTimeout, "tap on virbr0: bridge helper "+helper+": no answer before the deadline")
}

func TestACancelledContextIsItsOwnError(t *testing.T) {
	nothingLeaks(t)
	helper := fake(t, t.TempDir(), "stop")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := OpenTap(ctx, helper, "virbr0")
	wantError(t, err, context.Canceled, "tap on virbr0: bridge helper "+helper+": context canceled")
}

func TestAChildThatTheHelperLeavesBehindIsKilled(t *testing.T) {
	nothingLeaks(t)
	helper, alive := family(t, "leave-child")
	dead := make(chan error, 1)
	go func() { dead <- outlive(alive, func() {}) }()
	_, err := OpenTap(t.Context(), helper, "virbr0")
	wantError(t, err, ErrNoTapFD, "tap on virbr0: bridge helper "+helper+": no tap handed over: it sent 0 files, not one")
	wantDead(t, dead)
}

func TestTheHelperGetsNothingOfOurs(t *testing.T) {
	t.Setenv("LD_PRELOAD_OF_A_TEST", "secret")
	inherited, err := unix.Open("/dev/null", unix.O_RDONLY, 0) // not close-on-exec, as from a careless caller
	must(t, err)
	defer unix.Close(inherited)
	helper := fake(t, t.TempDir(), "report")
	_, err = OpenTap(t.Context(), helper, "virbr0")
	e, ok := errors.AsType[*HelperError](err)
	if !ok {
		t.Fatalf("not a *HelperError: %v", err)
	}
	want := `args ["--use-vnet" "--br=virbr0" "--fd=3"]; env []; cwd /; stdin /dev/null; own group true; files 0 1 2 3`
	if diff := cmp.Diff(want, e.Words); diff != "" {
		t.Errorf("what the helper saw, - want, + got:\n%s", diff)
	}
}

func TestTheHelpersWordsAreBoundedAndOneLine(t *testing.T) {
	t.Run("a flood", func(t *testing.T) {
		_, err := OpenTap(t.Context(), fake(t, t.TempDir(), "flood"), "virbr0")
		if e, ok := errors.AsType[*HelperError](err); !ok || strings.Count(e.Words, "x") != helperStderr/1024*1023 {
			t.Errorf("%d bytes of words", len(e.Words))
		}
	})
	t.Run("escape sequences", func(t *testing.T) {
		dir := t.TempDir()
		helper := fake(t, dir, "say")
		write(t, helper+".txt", "\x1b]0;owned\a red\x1b[31m\r\nsecond\tline \u202e\xff\u009b\n")
		_, err := OpenTap(t.Context(), helper, "virbr0")
		wantError(t, err, ErrHelperFailed, "tap on virbr0: bridge helper "+helper+
			": ended in an error: exit status 1: \x1b]0;owned\a red\x1b[31m; second\tline \u202e\xff\u009b")
	})
}

func TestAHelperThatCannotBeRun(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/plain", "#!/bin/true\n")
	tests := []struct {
		helper, bridge, want string
		cause                error
	}{
		{dir + "/absent", "virbr0", "no qemu-bridge-helper", ErrNoHelper},
		{dir + "/plain", "virbr0", "not executable by this user", ErrHelperForbidden},
		{"qemu-bridge-helper", "virbr0", "no qemu-bridge-helper: must be an absolute path", ErrNoHelper},
		{realHelper, "sixteen-bytes-xx", "no such bridge: a name has 1 to 15 bytes", ErrNoBridge},
		{realHelper, "", "no such bridge: a name has 1 to 15 bytes", ErrNoBridge},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			nothingLeaks(t)
			_, err := OpenTap(t.Context(), tt.helper, tt.bridge)
			wantError(t, err, tt.cause, fmt.Sprintf("tap on %s: bridge helper %s: %s", tt.bridge, tt.helper, tt.want))
		})
	}
}

func TestEveryTextOfTheHelperHasItsCause(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	helper := fake(t, t.TempDir(), "say")
	const parse = "failed to parse default acl file `/etc/qemu/bridge.conf'\n"
	tests := []struct {
		name, says, acl, want string
		cause                 error
		line                  int
	}{
		{"no bridge", "failed to get mtu of bridge `virbr0': No such device\n", "", "no such bridge", ErrNoBridge, 0},
		{"not a bridge", "failed to add interface `tap0' to bridge `virbr0': Operation not supported\n", "", "not a bridge", ErrNotBridge, 0},
		{"not mentioned", "access denied by acl file\n", "allow br0\n", "not allowed: not mentioned in /etc/qemu/bridge.conf", ErrDenied, 0},
		{"denied", "access denied by acl file\n", "allow all\ndeny virbr0\n", "not allowed: /etc/qemu/bridge.conf:2: deny virbr0", ErrDenied, 2},
		{"denied, and we see no reason", "access denied by acl file\n", "allow all\n", "not allowed", ErrDenied, 0},
		{"no ACL", parse, "-", "no ACL file: /etc/qemu/bridge.conf", ErrACLMissing, 0},
		{"junk", "Unknown command `ALLOW'\n" + parse, "\nALLOW all\n", `ACL file has a bad line: /etc/qemu/bridge.conf:2: "ALLOW": must be allow, deny or include`, ErrACLSyntax, 2},
		{"junk that we do not see", parse, "allow all\n", "ACL file has a bad line", ErrACLSyntax, 0},
		{"tun absent", "failed to open /dev/net/tun: No such file or directory\n", "", "no tun device", ErrNoTun, 0},
		{"tun without its module", "failed to open /dev/net/tun: No such device\n", "", "no tun device", ErrNoTun, 0},
		{"tun closed", "failed to open /dev/net/tun: Permission denied\n", "", "tun device not open to this user", ErrTunPermission, 0},
		{"not permitted, and we see no reason", "failed to create tun device: Operation not permitted\n", "",
			"ended in an error: exit status 1, although mode, no_new_privs, mount and namespace look right", ErrHelperFailed, 0},
		{"unknown", "failed to drop privileges\n", "", "ended in an error: exit status 1", ErrHelperFailed, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write(t, helper+".txt", tt.says)
			write(t, DefaultACL, tt.acl)
			if tt.acl == "-" {
				must(t, os.Remove(DefaultACL))
			}
			_, err := OpenTap(t.Context(), helper, "virbr0")
			words := strings.ReplaceAll(strings.TrimSpace(tt.says), "\n", "; ")
			wantError(t, err, tt.cause, "tap on virbr0: bridge helper "+helper+": "+tt.want+": "+words)
			_, ofTun := errors.AsType[*TunError](err)
			if !ofTun && TargetOf(err).Bridge != "virbr0" {
				t.Errorf("the error's bridge: %+v", TargetOf(err))
			}
			if e, ok := errors.AsType[*HelperError](err); ok && e.Helper != helper {
				t.Errorf("the error's helper: %s", e.Helper)
			}
			if e, ok := errors.AsType[*ACLError](err); ok != (tt.acl != "") || ok && (e.Line != tt.line || e.File != DefaultACL) {
				t.Errorf("the error's file: %+v", e)
			}
		})
	}
}

func TestTheRealHelperMakesATapThatLivesAsLongAsItsFile(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	nothingLeaks(t)
	write(t, DefaultACL, "allow virbr0\n")
	addBridge(t, "virbr0", true)
	tap, err := OpenTap(t.Context(), realHelper, "virbr0")
	must(t, err)
	b, err := FindBridge("virbr0")
	must(t, err)
	if diff := cmp.Diff([]string{tap.Name}, b.Ports); diff != "" {
		t.Errorf("ports of the bridge, - want, + got:\n%s", diff)
	}
	link, err := netlink.LinkByName(tap.Name)
	must(t, err)
	if link.Attrs().RawFlags&unix.IFF_UP == 0 {
		t.Errorf("%s is down", tap.Name)
	}
	if flags, err := unix.FcntlInt(tap.File.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags of the tap's file: %x, %v", flags, err)
	}
	must(t, tap.File.Close())
	b, err = FindBridge("virbr0")
	must(t, err)
	if len(b.Ports) != 0 {
		t.Errorf("ports after the tap was closed: %v", b.Ports)
	}
}

func TestTenHelpersAtOnceMakeTenTaps(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	nothingLeaks(t)
	write(t, DefaultACL, "allow virbr0\n")
	addBridge(t, "virbr0", true)
	var wg sync.WaitGroup
	taps, errs := make([]*Tap, 10), make([]error, 10)
	for i := range taps {
		wg.Go(func() { taps[i], errs[i] = OpenTap(t.Context(), realHelper, "virbr0") })
	}
	wg.Wait()
	must(t, errors.Join(errs...))
	b, err := FindBridge("virbr0")
	must(t, err)
	names := map[string]bool{}
	for _, tap := range taps {
		names[tap.Name] = true
		must(t, tap.File.Close())
	}
	if len(names) != 10 || len(b.Ports) != 10 {
		t.Errorf("taps %v, ports %v", names, b.Ports)
	}
}

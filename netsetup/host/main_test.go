package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain makes the test binary also the program that the tests hurt: called by the name "setup" or "teardown", it is
// that, with the arguments as users who are to join the group, or --isolate. All of it is one thread's work, so strace can count its calls.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "setup":
		runtime.LockOSThread()
		ask := Request{Users: os.Args[1:]}
		if i := slices.Index(ask.Users, "--isolate"); i >= 0 {
			isolate := true
			ask.Isolate, ask.Users = &isolate, slices.Delete(ask.Users, i, i+1)
		}
		unix.Exit(report(Setup(context.Background(), ask, func(Spec, []Step) {})))
	case "teardown":
		runtime.LockOSThread()
		unix.Exit(report(Teardown(context.Background(), false, func([]Step, []Left) {})))
	}
	os.Exit(m.Run())
}

func report(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

const insideVar = "HOST_TEST_INSIDE"

// onAHost runs the calling test again as root of a host of its own: a network, process ids and mounts of its own, with
// what setup changes on overlays, and no systemd. In there it is true:
//
//	if !onAHost(t) {
//		return
//	}
func onAHost(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVar) != "" {
		furnish(t)
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("setup gives files to root and to a group; a user namespace of an ordinary user has but one of each")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, executable(t), "-test.run=^"+t.Name()+"$", "-test.v", fmt.Sprintf("-every=%d", *every))
	cmd.Env = append(os.Environ(), insideVar+"="+t.TempDir(), "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: unix.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Fatalf("on the host: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

// furnish makes the host; nothing of it is seen outside.
func furnish(t *testing.T) {
	t.Helper()
	base := os.Getenv(insideVar)
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(t, unix.Mount("proc", "/proc", "proc", 0, ""))
	must(t, unix.Mount("host", base, "tmpfs", 0, ""))
	for _, dir := range []string{"/etc", "/var/lib", "/usr/local", "/usr/lib/qemu"} {
		name := strings.ReplaceAll(dir, "/", "_")
		upper, work := filepath.Join(base, name+".upper"), filepath.Join(base, name+".work")
		must(t, errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)))
		must(t, unix.Mount("host", dir, "overlay", 0, "lowerdir="+dir+",upperdir="+upper+",workdir="+work))
	}
	must(t, unix.Mount("host", "/run", "tmpfs", 0, "mode=755"))
	node := filepath.Join(base, "tun")
	must(t, unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))))
	must(t, os.Chmod(node, 0o666))
	must(t, unix.Mount(node, "/dev/net/tun", "", unix.MS_BIND, ""))
	for _, name := range []string{"setup", "teardown"} {
		must(t, os.Symlink(executable(t), filepath.Join(base, name)))
	}
	for _, missing := range [][]string{{"groupadd", "-f", "--system", Group}, {"useradd", "--system", "guest1"}, {"ip", "link", "set", "lo", "up"}} {
		_, err := run(t.Context(), "", missing...)
		must(t, err)
	}
}

func executable(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	must(t, err)
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// snapshot is all of the host that setup could have changed.
func snapshot(t *testing.T) string {
	t.Helper()
	const script = `
		find /etc /usr/lib/qemu /usr/local -maxdepth 0 -printf '%p %m %u:%g\n'
		for d in /etc /usr/lib/qemu /usr/local/libexec /var/lib/qlaunch; do
			find $d -printf '%p %y %m %u:%g %l\n' -type f -exec md5sum {} + 2>/dev/null
		done | grep -vE '/etc/(g?shadow|group|passwd)-' | sort # the backups that usermod and its like leave
		dpkg-statoverride --list
		nft list ruleset
		iptables-save | grep -v '^#'
		cat /proc/sys/net/ipv4/ip_forward
		ip -brief link | awk '{print $1, $3}' # a bridge's carrier comes and goes with its taps
		ip -4 -brief address | awk '{print $1, $3}'
		pgrep -a dnsmasq | grep -v defunct`
	out, err := exec.Command("sh", "-c", script).CombinedOutput()
	if err != nil && !strings.Contains(err.Error(), "exit status 1") { // no dnsmasq runs
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

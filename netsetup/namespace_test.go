package netsetup

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// realHelper is Debian's; it is not setuid as it is installed, and need not be for root of a namespace.
const realHelper = "/usr/lib/qemu/qemu-bridge-helper"

// lab is a directory on the namespace's own tmpfs: executable, not nosuid, open to every user.
const lab = "/etc/lab"

// nobody is an ordinary user's id, mapped only where the tests were started by root.
const nobody = 65534

const insideVar = "NETSETUP_TEST_INSIDE"

// inNamespace runs the calling test again in a child with a network and mounts of its own, in a user namespace unless
// we are root, and is true in there:
//
//	if !inNamespace(t) {
//		return
//	}
//
// In there /etc is a tmpfs with an empty /etc/qemu and the users of the host, and /dev/net/tun is 0666.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVar) != "" {
		furnish(t)
		return true
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, testBinary(t), "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), insideVar+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Fatalf("inside the namespace: %v\n%s", err, out)
	}
	return false
}

// furnish makes the namespace ready; nothing of it is seen outside.
func furnish(t *testing.T) {
	t.Helper()
	host := map[string][]byte{}
	for _, name := range []string{"passwd", "group", "nsswitch.conf", "ld.so.cache"} {
		if data, err := os.ReadFile("/etc/" + name); err == nil {
			host[name] = data
		}
	}
	// The limit of an ordinary login, for the helper too: it opens an ACL that includes itself until this stops it.
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 1024, Max: 1024}))
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(t, unix.Mount("proc", "/proc", "proc", 0, ""))
	must(t, unix.Mount("tmpfs", "/etc", "tmpfs", 0, "mode=0755"))
	for name, data := range host {
		write(t, "/etc/"+name, string(data))
	}
	must(t, os.MkdirAll("/etc/qemu", 0o755))
	must(t, os.MkdirAll(lab, 0o755))
	if _, err := os.Stat(realHelper); err != nil {
		t.Fatalf("the tests run QEMU's own helper: apt install qemu-system-common: %v", err)
	}
	if !inUserNamespace() {
		node := lab + "/tun"
		must(t, unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))))
		must(t, os.Chmod(node, 0o666))
		must(t, unix.Mount(node, tunDevice, "", unix.MS_BIND, ""))
	}
}

func testBinary(t *testing.T) string {
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

// write makes or replaces a file, 0644.
func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
	must(t, os.Chmod(path, 0o644))
}

// copyTo makes an executable copy of a file with a mode, setuid bit included.
func copyTo(t *testing.T, from, to string, mode uint32) string {
	t.Helper()
	data, err := os.ReadFile(from)
	must(t, err)
	must(t, os.MkdirAll(filepath.Dir(to), 0o755))
	must(t, os.WriteFile(to, data, 0o755))
	must(t, unix.Chmod(to, mode))
	return to
}

// addBridge makes a bridge, up or down.
func addBridge(t *testing.T, name string, up bool) netlink.Link {
	t.Helper()
	return addLink(t, &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}, up)
}

// addVeth makes a link that is no bridge.
func addVeth(t *testing.T, name string, master int) netlink.Link {
	t.Helper()
	return addLink(t, &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, MasterIndex: master}, PeerName: name + "-peer"}, true)
}

func addLink(t *testing.T, link netlink.Link, up bool) netlink.Link {
	t.Helper()
	must(t, netlink.LinkAdd(link))
	if up {
		must(t, netlink.LinkSetUp(link))
	}
	return link
}

// rights are what a probe is run with. Without any of them it is root, still without a capability: to the kernel an ordinary
// user whose id happens to be 0, which a user namespace can make too.
type rights struct {
	uid, gid   uint32 // another user; only where root started the tests
	noNewPrivs bool
	userNS     bool // a new user namespace, in the old network
}

// probe runs the preflight and then the helper in a process of its own, and returns what they say, a line each. With a
// planted root it examines that instead.
func probe(t *testing.T, r rights, helper, bridge string, root ...string) string {
	t.Helper()
	bin := copyTo(t, testBinary(t), lab+"/probe", 0o755)
	type answer struct {
		out []byte
		err error
	}
	done := make(chan answer)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with what was done to it
		err := r.confine()
		var out []byte
		if err == nil {
			cmd := exec.CommandContext(t.Context(), bin, append([]string{helper, bridge}, root...)...)
			cmd.Env = []string{}
			cmd.SysProcAttr = &syscall.SysProcAttr{}
			if r.uid != 0 {
				cmd.SysProcAttr.Credential = &syscall.Credential{Uid: r.uid, Gid: r.gid}
			}
			if r.userNS {
				cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER
				cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
				cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
			}
			out, err = cmd.CombinedOutput()
		}
		done <- answer{out, err}
	}()
	a := <-done
	if a.err != nil {
		t.Fatalf("probe: %v\n%s", a.err, a.out)
	}
	return strings.TrimSuffix(string(a.out), "\n")
}

// confine takes from this thread what a program that it executes must not have. A change of user takes all capabilities
// by itself, and must leave the bounding set, out of which a setuid helper gets its own.
func (r rights) confine() error {
	for c := uintptr(0); r.uid == 0 && c <= unix.CAP_LAST_CAP; c++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: a capability that this kernel does not know yet
			return err
		}
	}
	if r.noNewPrivs {
		return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	return nil
}

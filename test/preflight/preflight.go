// Package preflight asks, before the tests run, for what they need of the kernel:
// a user namespace with mounts, processes and a network of its own, and in it, or
// as root, a world (package world) with a bridge, DHCP and tun. In a chroot or an
// ordinary container these cannot be had, and many tests would each fail in its
// own words.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/test/kvm"
	"github.com/qlaunch/qlaunch/test/world"
)

// deadline is for all that is tried, which takes a second.
const deadline = time.Minute

// name is the argument 0 by which Main knows that it is in the namespace.
const name = "qlaunch-preflight"

// Main is the process that Check starts in a namespace and in a world: where args
// are those that Check gave it, it does its work and returns its exit code and
// true. In any other program it returns false at once.
func Main(args []string, stdin, stdout, stderr *os.File) (code int, ok bool) {
	if code, ok := world.Main(args, stdin, stdout, stderr); ok {
		return code, true
	}
	if args[0] != name || os.Getpid() != 1 {
		return 0, false
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		fmt.Fprintln(stderr, "mount a /proc in a user namespace:", err)
		return 1, true
	}
	return 0, true
}

// Check tries what the tests need. Its error is one line, with the cause and what
// to do. The notice, which may be empty, says what they can do without and will.
func Check(ctx context.Context) (notice string, err error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if err := checkNamespace(ctx); err != nil {
		return "", err
	}
	if err := checkWorld(ctx); err != nil {
		return "", err
	}
	if err := kvm.Runs(ctx); err != nil {
		return "no guest runs under KVM here, and what needs one is skipped: " + oneLine(err.Error()), nil
	}
	return "", nil
}

// checkNamespace makes a user namespace with all that the tests have in one.
func checkNamespace(ctx context.Context) error {
	if os.Geteuid() != 0 {
		if err := world.UserNamespaces(); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{name}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	words, err := cmd.CombinedOutput()
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		return fmt.Errorf("%s: %s", oneLine(string(words)), elsewhere)
	}
	if err != nil {
		return fmt.Errorf("make a user namespace: %w: %s", cause(err), cure(err))
	}
	return nil
}

// elsewhere is the cure where what surrounds this process forbids something.
const elsewhere = "a chroot, a container or a sandbox forbids it: run this outside of it, or in a privileged container"

// cure is what helps when no user namespace can be made: user_namespaces(7) has
// the kernel's reasons.
func cure(err error) string {
	const limit = "/proc/sys/user/max_user_namespaces"
	if !errors.Is(err, unix.ENOSPC) {
		return elsewhere
	}
	text, _ := os.ReadFile(limit)
	return fmt.Sprintf("%s = %s: sudo sysctl -w user.max_user_namespaces=10000", limit, oneLine(string(text)))
}

// checkWorld makes a world and opens tun in it.
func checkWorld(ctx context.Context) error {
	cmd, err := world.Command(ctx, world.Options{}, "sh", "-c", "exec 3<>/dev/net/tun")
	if err != nil {
		return fmt.Errorf("make a world for a test: %w", err)
	}
	words, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	why := cause(err).Error()
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		why = strings.TrimPrefix(oneLine(string(words)), "world: error: ")
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("make a world for a test: %s: root may be able to, so run this with sudo", why)
	}
	return fmt.Errorf("make a world for a test: %s: %s", why, elsewhere)
}

// cause takes the name of our own program out of an error.
func cause(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}

// oneLine is a text without line breaks.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

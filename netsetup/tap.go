package netsetup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Tap is a tap interface on a bridge. It lives as long as File, or a duplicate of it, is open in some process:
// close File as soon as QEMU has its own.
type Tap struct {
	Name string   // the interface: tap0, tap1 …
	File *os.File // close-on-exec; made with IFF_VNET_HDR where the kernel has it, as QEMU wants it
}

const (
	helperDeadline = 10 * time.Second // it needs milliseconds
	helperGrace    = time.Second      // after the helper's end, for whoever else holds its stderr
	helperStderr   = 16 << 10         // bytes of its stderr that are kept
)

// tunDevice is what taps are made of; the helper opens it as the user who calls it.
const tunDevice = "/dev/net/tun"

// OpenTap has QEMU's bridge helper make a tap that is a port of the bridge and is up.
//
// The helper is setuid root, and so gets nothing of ours: an empty environment, "/" as its directory, /dev/null as
// stdin, and no file but one end of a socket pair, which brings the tap back (SCM_RIGHTS, unix(7)). It is the leader
// of its own process group, which is killed when ctx ends, and after 10 s in any case. For that every file of this
// process above stderr becomes close-on-exec, which Go's own are already.
//
// Every error has a [Failure], and [errors.Is] tells its cause, except that a ctx which was cancelled returns its own
// error.
func OpenTap(ctx context.Context, helper, bridge string) (*Tap, error) {
	return openTap(ctx, helper, bridge, nil)
}

// TapsVariable is a variable in the environment of a QEMU that has taps: each with its bridge, as in "tap0=virbr0
// tap1=br1". The kernel forgets the bridge of a tap when that is removed, and root would not know where to put the tap
// back.
const TapsVariable = "QLAUNCH_TAPS"

// TryTap has the helper make a tap as another user, who is in these groups alone, and lets it go at once: so root sees
// what that user would. The errors are [OpenTap]'s.
func TryTap(ctx context.Context, helper, bridge string, uid uint32, groups []uint32) error {
	tap, err := openTap(ctx, helper, bridge, &syscall.Credential{Uid: uid, Gid: groups[0], Groups: groups[1:]})
	if err != nil {
		return err
	}
	return tap.File.Close()
}

func openTap(ctx context.Context, helper, bridge string, as *syscall.Credential) (*Tap, error) {
	failed := &HelperError{Failure: Failure{What: fmt.Sprintf("tap on %s: bridge helper %s", bridge, helper)},
		Target: Target{Bridge: bridge}, Helper: helper}
	switch {
	case bridge == "" || len(bridge) > MaxName || strings.ContainsRune(bridge, 0):
		failed.Cause, failed.Detail = ErrNoBridge, fmt.Sprintf("a name has 1 to %d bytes", MaxName)
		return nil, &BridgeError{failed.Failure, failed.Target}
	case !filepath.IsAbs(helper): // os/exec would search PATH
		failed.Cause, failed.Detail = ErrNoHelper, "must be an absolute path"
		return nil, failed
	}
	fds, stderr, err := runHelper(ctx, helper, bridge, as)
	if err != nil {
		closeAll(fds)
		return nil, explain(ctx, failed, stderr, err)
	}
	tap, err := tapOf(fds)
	if err != nil {
		closeAll(fds)
		failed.Cause, failed.Detail, failed.Words = ErrNoTapFD, err.Error(), oneLine(stderr)
		return nil, failed
	}
	return tap, nil
}

// runHelper runs the helper to its end, as somebody else or, with nil, as this process's user, and returns every file
// that it sent, and its stderr.
func runHelper(ctx context.Context, helper, bridge string, as *syscall.Credential) (fds []int, stderr string, err error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, "", err
	}
	defer unix.Close(ours)
	if err := closeInheritedOnExec(); err != nil {
		theirs.Close()
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, helperDeadline)
	defer cancel()
	words := &head{limit: helperStderr}
	cmd := exec.CommandContext(ctx, helper, "--use-vnet", "--br="+bridge, "--fd=3")
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.Stderr = words
	cmd.ExtraFiles = []*os.File{theirs} // the first of them is the child's fd 3
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Credential: as}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = helperGrace
	err = cmd.Start()
	theirs.Close() // the helper's alone now: its end is our end of file
	if err == nil {
		err = cmd.Wait()
	}
	switch {
	case errors.Is(err, exec.ErrWaitDelay):
		// It ended well, and somebody still holds its stderr: a child that it left behind, of the same group, so that the id
		// is not anybody else's. Or a host so busy that another program, started this moment, has not let go of it yet.
		_ = cmd.Cancel()
		err = nil
	case err != nil && ctx.Err() != nil:
		err = ctx.Err() // rather than "signal: killed"
	}
	return receive(ours), words.kept.String(), err
}

// socketPair is a pair of stream sockets, both close-on-exec; os/exec duplicates theirs into the child without the
// flag. Ours does not block: all is there when the helper has ended.
func socketPair() (ours int, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, nil, os.NewSyscallError("socketpair", err)
	}
	return pair[0], os.NewFile(uintptr(pair[1]), "bridge helper's end"), nil
}

// closeInheritedOnExec marks every file above stderr close-on-exec. What Go opens is so already; what our own caller
// left open, a lock or a terminal, must not reach a setuid program.
func closeInheritedOnExec() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list own files: %w", err)
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// receive takes every file out of the socket, close-on-exec, at most a message more than the one that is due: what is
// still in the socket when it is closed, the kernel closes.
func receive(socket int) []int {
	const most = 253 // SCM_MAX_FD: the kernel sends no more in one message
	var fds []int
	data, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*most))
	for len(fds) <= 1 {
		n, cn, _, _, err := unix.Recvmsg(socket, data, control, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			break
		}
		messages, err := unix.ParseSocketControlMessage(control[:cn])
		if err != nil {
			break
		}
		for _, m := range messages {
			if got, err := unix.ParseUnixRights(&m); err == nil {
				fds = append(fds, got...)
			}
		}
	}
	return fds
}

// tapOf is the one file that was sent, if it is a tap.
func tapOf(fds []int) (*Tap, error) {
	if len(fds) != 1 {
		return nil, fmt.Errorf("it sent %d files, not one", len(fds))
	}
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return nil, err
	}
	// linux/if_tun.h: the name and the flags of the interface behind the file; an error for any other file.
	if err := unix.IoctlIfreq(fds[0], unix.TUNGETIFF, ifr); err != nil || ifr.Uint16()&unix.IFF_TAP == 0 {
		return nil, errors.New("the file that it sent is not a tap")
	}
	return &Tap{Name: ifr.Name(), File: os.NewFile(uintptr(fds[0]), ifr.Name())}, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// explain completes the error of a helper that failed: its words, the cause that they tell, and, where one text has
// several causes, what can be seen on the host.
func explain(ctx context.Context, e *HelperError, stderr string, err error) error {
	e.Words = oneLine(stderr)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%s: %w", e.What, ctx.Err())
	case errors.Is(err, context.DeadlineExceeded):
		e.Cause = ErrHelperTimeout
		return e
	case errors.Is(err, fs.ErrNotExist):
		e.Cause = ErrNoHelper
		return e
	case errors.Is(err, fs.ErrPermission):
		e.Cause, e.Access = ErrHelperForbidden, accessTo(e.Helper)
		return e
	}
	e.Cause = causeOf(stderr)
	is := func(cause error) bool { return errors.Is(e.Cause, cause) }
	switch {
	case is(ErrHelperNotSetuid):
		if e.Detail, e.Cause = helperUsable(e.Helper); e.Cause == nil {
			e.Cause, e.Detail = ErrHelperFailed, err.Error()+", although mode, no_new_privs, mount and namespace look right"
		}
	case is(ErrDenied), is(ErrACLSyntax):
		return explainACL(&ACLError{Failure: e.Failure, Target: e.Target, File: aclNamed(stderr)})
	case is(ErrTunPermission), is(ErrNoTun):
		return &TunError{e.Failure, accessTo(tunDevice)}
	case is(ErrNoBridge), is(ErrNotBridge):
		return &BridgeError{e.Failure, e.Target}
	case is(ErrHelperFailed):
		e.Detail = err.Error() // the exit status or the signal
	}
	return e
}

// explainACL looks into the ACL for the file and the line of a refusal. Where our reading differs from the helper's,
// its word stands.
func explainACL(e *ACLError) error {
	v, err := Allowed(e.File, e.Bridge)
	if errors.Is(e.Cause, ErrDenied) {
		if err != nil {
			return e // it read the file, and we cannot
		}
		err = v.Err()
	}
	if why, ok := errors.AsType[*ACLError](err); ok {
		e.Cause, e.Detail, e.File, e.Line, e.Access = why.Cause, why.Detail, why.File, why.Line, why.Access
	}
	return e
}

// A head keeps the first bytes written to it and takes the rest in silence, so that the writer never blocks.
type head struct {
	kept  bytes.Buffer // not embedded: io.Copy would find its ReadFrom and go past the limit
	limit int
}

func (h *head) Write(p []byte) (int, error) {
	h.kept.Write(p[:min(len(p), h.limit-h.kept.Len())])
	return len(p), nil
}

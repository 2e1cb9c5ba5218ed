package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

// lastReply is QEMU's last reply to a query for the state of the guest's processors. QEMU's monitor serves one client
// at a time: the last of many concurrent queries would wait for all others, and would take a busy QEMU for one that
// does not respond. So each reply is saved for commands that still wait: a reply to a query from after they began is
// valid for them, too. An older one is never used.
type lastReply struct {
	pid    int
	asked  int64  // when QEMU was queried, in ns of CLOCK_MONOTONIC, which all processes share and nobody can set
	reason string // why the processors are stopped; empty if they run
}

// query returns why the processors of a guest are stopped; empty if they run.
func query(ctx context.Context, vm vms.VM, p *Process) (string, error) {
	begin, err := monotonic()
	if err != nil {
		return "", err
	}
	reason, err := queryMonitor(ctx, vm, p)
	if errors.Is(err, context.DeadlineExceeded) && !p.Stopped() {
		if a, ok := readReply(vm); ok && a.pid == p.PID && a.asked > begin {
			return a.reason, nil
		}
	}
	return reason, err
}

// askDeadline is how long QEMU may take to report its state; it usually takes less than a millisecond.
const askDeadline = time.Second

// queryMonitor is query with QEMU's own reply, which it saves for other commands.
func queryMonitor(ctx context.Context, vm vms.VM, p *Process) (string, error) {
	m, err := qmp.Dial(ctx, QMPSocket(vm))
	if err != nil {
		return "", err
	}
	defer m.Close()
	a := lastReply{pid: p.PID}
	if a.asked, err = monotonic(); err != nil {
		return "", err
	}
	status, err := m.Status(ctx)
	if err != nil {
		return "", err
	}
	if !status.Running {
		a.reason = pauseReason(ctx, m, status.State)
	}
	a.save(vm)
	return a.reason, nil
}

func monotonic() (int64, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, fmt.Errorf("clock: %w", err)
	}
	return now.Nano(), nil
}

func replyFile(vm vms.VM) string { return filepath.Join(vm.RunDir, replyName) }

// makeReplyFile creates the file for the last reply; without it each command has to wait for QEMU itself. Only a
// start creates it, since a query must not create a file while the VM is being removed.
func makeReplyFile(vm vms.VM) {
	if f, err := os.OpenFile(replyFile(vm), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600); err == nil {
		_ = f.Close()
	}
}

// save saves a reply for other commands. If another process saves its own at this moment, either will do.
func (a lastReply) save(vm vms.VM) {
	f, err := os.OpenFile(replyFile(vm), os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}) == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d %d %q\n", a.pid, a.asked, a.reason), 0) // text after the line is ignored
	}
}

// readReply returns the reply that was saved last.
func readReply(vm vms.VM) (a lastReply, ok bool) {
	f, err := os.OpenFile(replyFile(vm), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return lastReply{}, false
	}
	defer f.Close()
	for range 20 { // a writer holds the lock for some microseconds
		if err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_RDLCK}); err == nil {
			_, err = fmt.Fscanf(f, "%d %d %q\n", &a.pid, &a.asked, &a.reason)
			return a, err == nil
		}
		time.Sleep(time.Millisecond)
	}
	return lastReply{}, false
}

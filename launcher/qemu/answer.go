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

// An answer is what QEMU said of a guest's processors. QEMU's monitor serves one
// client at a time: of a crowd that asks at once, the last would wait for all
// others, and take a QEMU that is busy for one that does not answer. So an answer
// is left for those who still wait: what QEMU was asked after they had begun to
// ask answers them, too. An older one is nobody's.
type answer struct {
	pid    int
	asked  int64  // in ns of a clock that all processes share and nobody sets (CLOCK_MONOTONIC)
	reason string // why they stand still; empty when they run
}

// query tells why the processors of a guest stand still; nothing when they run.
func query(ctx context.Context, vm vms.VM, p *Process) (string, error) {
	begin, err := monotonic()
	if err != nil {
		return "", err
	}
	reason, err := queryMonitor(ctx, vm, p)
	if errors.Is(err, context.DeadlineExceeded) && !p.Stopped() {
		if a, ok := readAnswer(vm); ok && a.pid == p.PID && a.asked > begin {
			return a.reason, nil
		}
	}
	return reason, err
}

// askDeadline is how long a QEMU may take to say what it does. One that answers does so within a millisecond.
const askDeadline = time.Second

// queryMonitor is query by QEMU's own word, which it leaves for others.
func queryMonitor(ctx context.Context, vm vms.VM, p *Process) (string, error) {
	m, err := qmp.Dial(ctx, QMPSocket(vm))
	if err != nil {
		return "", err
	}
	defer m.Close()
	a := answer{pid: p.PID}
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
	a.leave(vm)
	return a.reason, nil
}

func monotonic() (int64, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, fmt.Errorf("clock: %w", err)
	}
	return now.Nano(), nil
}

func answerFile(vm vms.VM) string { return filepath.Join(vm.RunDir, answerName) }

// makeAnswerFile makes the file for answers, without which each who asks waits for QEMU itself.
// A start makes it and nobody else: who asks must not put a file where a VM is being removed.
func makeAnswerFile(vm vms.VM) {
	if f, err := os.OpenFile(answerFile(vm), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600); err == nil {
		_ = f.Close()
	}
}

// leave leaves an answer for others. Where another process leaves its own at this moment, that is as good.
func (a answer) leave(vm vms.VM) {
	f, err := os.OpenFile(answerFile(vm), os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}) == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d %d %q\n", a.pid, a.asked, a.reason), 0) // what stands behind it is of no matter
	}
}

// readAnswer gives the answer that was left last.
func readAnswer(vm vms.VM) (a answer, ok bool) {
	f, err := os.OpenFile(answerFile(vm), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return answer{}, false
	}
	defer f.Close()
	for range 20 { // whoever writes has the lock for some microseconds
		if err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_RDLCK}); err == nil {
			_, err = fmt.Fscanf(f, "%d %d %q\n", &a.pid, &a.asked, &a.reason)
			return a, err == nil
		}
		time.Sleep(time.Millisecond)
	}
	return answer{}, false
}

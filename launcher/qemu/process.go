package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// ErrNotRunning means that the VM has no running QEMU that can be reached.
var ErrNotRunning = errors.New("not running")

// ErrEnded is the cause with which the context of Process.Context ends when QEMU ends.
var ErrEnded = errors.New("QEMU ended")

// Process is the running QEMU of a VM.
type Process struct {
	PID     int
	Started time.Time // when QEMU wrote its pid file
	pidfd   *os.File
}

// Find returns the running QEMU of a VM, or an error that wraps ErrNotRunning.
//
// It checks the lock again after it has opened the process: if the same process holds the lock both times, it is the
// one that was opened. So a reused process ID is never taken for QEMU's.
func Find(vm vms.VM) (*Process, error) {
	for {
		pid, started, err := lockHolder(PIDFile(vm))
		if err != nil {
			return nil, err
		}
		p, err := open(pid)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return nil, err
		}
		again, _, err := lockHolder(PIDFile(vm))
		if err == nil && p != nil && again == pid {
			p.Started = started
			return p, nil
		}
		if p != nil {
			p.Close()
		}
		if err != nil {
			return nil, err
		}
	}
}

// IsRunning reports whether a VM's QEMU holds its lock: the one in the data directory or, if an earlier version or a
// user started it, the one on its pid file. If that cannot be determined, it returns true, so that nothing is
// destroyed.
func IsRunning(vm vms.VM) bool {
	return IsHeld(vm) || pidFileLocked(vm)
}

// IsHeld is IsRunning for a VM without a run directory: it checks only the lock in the data directory.
func IsHeld(vm vms.VM) bool {
	_, held := writeLock(runningFile(vm))
	return held
}

// pidFileLocked reports whether a QEMU holds the lock on its pid file, so that it can be reached.
func pidFileLocked(vm vms.VM) bool {
	_, held := writeLock(PIDFile(vm))
	return held
}

// lockHolder returns the process that holds the lock on a pid file, and when the file was written.
func lockHolder(path string) (int, time.Time, error) {
	pid, held, err := askLock(path)
	if err != nil {
		return 0, time.Time{}, err
	}
	if !held {
		return 0, time.Time{}, ErrNotRunning
	}
	if pid <= 0 {
		return 0, time.Time{}, fmt.Errorf("pid file %s: its QEMU runs in another pid namespace", path)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, time.Time{}, ErrNotRunning // it is ending: removing its pid file is the last thing QEMU does
	}
	if err != nil {
		return 0, time.Time{}, err
	}
	return pid, info.ModTime(), nil
}

// open opens a process as a pidfd, which never refers to another process (pidfd_open(2)).
func open(pid int) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return &Process{PID: pid, pidfd: os.NewFile(uintptr(fd), "pidfd")}, nil
}

// Close closes the pidfd; the process keeps running.
func (p *Process) Close() { _ = p.pidfd.Close() }

// Handle returns the process's pidfd, for a child that waits for the end of the process. Close closes it.
func (p *Process) Handle() *os.File { return p.pidfd }

// Signal sends a signal to the process; it is no error if the process has ended.
func (p *Process) Signal(sig unix.Signal) error {
	err := unix.PidfdSendSignal(int(p.pidfd.Fd()), sig, nil, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal %d to process %d: %w", sig, p.PID, err)
	}
	return nil
}

// Stopped reports whether a signal or a debugger has stopped the process: the letter after its name, which may
// contain parentheses itself (proc_pid_stat(5)).
func (p *Process) Stopped() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		return false
	}
	end := bytes.LastIndex(stat, []byte(") "))
	return end >= 0 && bytes.ContainsAny(stat[end+2:min(end+3, len(stat))], "Tt")
}

// Wait returns nil when the process has ended, or ctx's cause if ctx ends first. A pidfd becomes readable when its
// process ends (pidfd_open(2)).
func (p *Process) Wait(ctx context.Context) error {
	fd, err := unix.FcntlInt(p.pidfd.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", p.PID, err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", p.PID, err)
	}
	err = conn.Read(ended)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return context.Cause(ctx)
	}
	return err
}

// Ended reports whether the process has ended.
func (p *Process) Ended() bool { return ended(p.pidfd.Fd()) }

func ended(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// Context returns a context that ends with ErrEnded as its cause as soon as the process ends. The caller must call
// the returned function before Close.
func (p *Process) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if p.Wait(ctx) == nil {
			cancel(ErrEnded)
		}
	}()
	return ctx, func() {
		cancel(context.Canceled)
		<-watched
	}
}

// Locate returns a VM with the run directory of its QEMU, whatever the environment of this process: the one that the
// lock in its data directory names, or else the one on the command line of its QEMU, among those that qemus returns
// (QEMUs), which is called only if the lock is not held. A VM that does not run keeps its run directory.
//
// Locate checks that the run directory is private to the user; otherwise the error is a *NotPrivateError.
func Locate(vm vms.VM, qemus func() ([]QEMU, error)) (vms.VM, error) {
	dir, held, err := readRunning(vm)
	if err != nil {
		return vm, err
	}
	if dir != "" {
		vm.RunDir = dir
	}
	if held || CheckRunDir(vm.RunDir) == nil && pidFileLocked(vm) {
		return vm, CheckRunDir(vm.RunDir)
	}
	all, err := qemus()
	if err != nil {
		return vm, err
	}
	for _, q := range all {
		if q.IsOf(vm) {
			vm.RunDir = q.RunDir
			break
		}
	}
	return vm, CheckRunDir(vm.RunDir)
}

// findAnywhere is Find for a VM whose QEMU may have another run directory than this process's environment says.
func findAnywhere(vm vms.VM) (*Process, error) {
	at, err := Locate(vm, func() ([]QEMU, error) { return nil, nil })
	if err != nil {
		return nil, err
	}
	return Find(at)
}

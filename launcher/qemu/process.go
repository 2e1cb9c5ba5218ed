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

// ErrNotRunning means that no QEMU of the VM runs that can be reached.
var ErrNotRunning = errors.New("not running")

// ErrEnded is the cause with which Process.Context ends when QEMU does.
var ErrEnded = errors.New("QEMU ended")

// Process is the running QEMU of a VM.
type Process struct {
	PID     int
	Started time.Time // when QEMU wrote its pid file
	pidfd   *os.File
}

// Find gives the running QEMU of a VM, or an error that wraps ErrNotRunning.
//
// The lock is looked at again after the process has been opened: the process
// that holds the lock both times is the one that was opened, so no number that
// went to a stranger meanwhile is ever taken for QEMU's.
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

// IsRunning tells whether a VM's QEMU holds its lock: the one in the data directory, or, where an
// earlier version or somebody's own hand has started it, that on its pid file. Where that cannot be told
// it is said to: what is asked for would be lost if it did.
func IsRunning(vm vms.VM) bool {
	return IsHeld(vm) || pidFileLocked(vm)
}

// IsHeld is IsRunning for a VM without a run directory: the lock in the data directory alone is asked.
func IsHeld(vm vms.VM) bool {
	_, held := writeLock(runningFile(vm))
	return held
}

// pidFileLocked tells whether a QEMU holds the lock on its pid file, by which it can be reached.
func pidFileLocked(vm vms.VM) bool {
	_, held := writeLock(PIDFile(vm))
	return held
}

// lockHolder gives the process that holds the lock on a pid file, and when the file was written.
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
		return 0, time.Time{}, ErrNotRunning // it goes: its pid file is the last that QEMU removes
	}
	if err != nil {
		return 0, time.Time{}, err
	}
	return pid, info.ModTime(), nil
}

// open gets hold of a process by a pidfd, which is never another's (pidfd_open(2)).
func open(pid int) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return &Process{PID: pid, pidfd: os.NewFile(uintptr(fd), "pidfd")}, nil
}

// Close lets go of the process, which lives on.
func (p *Process) Close() { _ = p.pidfd.Close() }

// Handle is the process's pidfd, for a child that is to know of its end. It is closed by Close.
func (p *Process) Handle() *os.File { return p.pidfd }

// Signal sends a signal to the process; one that has ended is no error.
func (p *Process) Signal(sig unix.Signal) error {
	err := unix.PidfdSendSignal(int(p.pidfd.Fd()), sig, nil, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal %d to process %d: %w", sig, p.PID, err)
	}
	return nil
}

// Stopped tells whether the process is stopped by a signal or a debugger: the
// letter behind its name, which may hold brackets itself (proc_pid_stat(5)).
func (p *Process) Stopped() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		return false
	}
	end := bytes.LastIndex(stat, []byte(") "))
	return end >= 0 && bytes.ContainsAny(stat[end+2:min(end+3, len(stat))], "Tt")
}

// Wait returns nil when the process has ended, or ctx's cause when that ends first.
// A pidfd becomes readable when its process ends (pidfd_open(2)).
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

// Ended tells whether the process has ended by now.
func (p *Process) Ended() bool { return ended(p.pidfd.Fd()) }

func ended(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// Context is ctx, ended with ErrEnded as its cause as soon as the process ends.
// The caller must call the function that it returns, before Close.
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

// Locate gives a VM with the run directory of its QEMU, wherever the environment
// of this process would put one: what the lock in its data directory says, or else what
// the command line of its QEMU says, among those that qemus gives (QEMUs), which is asked only when no
// lock is held. A VM that does not run keeps its run directory.
//
// The run directory has been checked: what lies in it may be believed. The error is a *NotPrivateError where it may not.
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

// findAnywhere is Find for a VM whose QEMU may have another run directory than the environment of this process gives it.
func findAnywhere(vm vms.VM) (*Process, error) {
	at, err := Locate(vm, func() ([]QEMU, error) { return nil, nil })
	if err != nil {
		return nil, err
	}
	return Find(at)
}

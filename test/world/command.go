package world

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// command runs the command as the user and returns its exit code. Until then
// this process does what process 1 has to: it collects every orphan.
func (m *maker) command(argv []string) (int, error) {
	program, err := lookPath(argv[0])
	if err != nil {
		return 0, err
	}
	if err := m.drop(); err != nil {
		return 0, err
	}
	process, err := os.StartProcess(program, argv, &os.ProcAttr{
		Dir: Home, Env: m.env(), Files: m.std[:], Sys: m.identity(),
	})
	if err != nil {
		return 0, err
	}
	pass(process)
	return reap(process.Pid)
}

// identity is who the command is.
func (m *maker) identity() *syscall.SysProcAttr {
	if !m.asRoot {
		// In place of the setuid bit, for the helper.
		return &syscall.SysProcAttr{AmbientCaps: []uintptr{unix.CAP_NET_ADMIN}}
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{
		Uid: uint32(m.uid), Gid: uint32(m.gid), Groups: []uint32{uint32(m.gid), uint32(m.kvmGroup)},
	}}
}

// drop takes from this thread what the command must not inherit. Process 1
// keeps the rest on its other threads, for dnsmasq.
func (m *maker) drop() error {
	if !m.asRoot {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
			return fmt.Errorf("clear the ambient capabilities: %w", err)
		}
	}
	if !m.NoNewPrivs {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	return nil
}

// env is all that the command sees of variables.
func (m *maker) env() []string {
	env := []string{
		"HOME=" + Home, "USER=user", "LOGNAME=user", "SHELL=/bin/sh", "LANG=C.UTF-8", "PATH=" + strings.Join(searchPath(), ":"),
		"TMPDIR=" + Dir + "/tmp", fmt.Sprintf("XDG_RUNTIME_DIR=/run/user/%d", m.uid), "WORLD_DIR=" + Dir,
	}
	return append(env, m.Env...)
}

// pass hands SIGTERM and SIGHUP on to the command. The keyboard's signals it
// gets by itself, from the terminal; process 1 only must not end by them.
func pass(process *os.Process) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT)
	go func() { // ends with the world
		for s := range signals {
			if s == unix.SIGTERM || s == unix.SIGHUP {
				_ = process.Signal(s) // an error means that it has ended
			}
		}
	}()
}

// reap collects children until pid ends, and returns its exit code as a shell would.
func reap(pid int) (int, error) {
	for {
		var status unix.WaitStatus
		child, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait: %w", err)
		case child == pid && status.Signaled():
			return 128 + int(status.Signal()), nil
		case child == pid:
			return status.ExitStatus(), nil
		}
	}
}

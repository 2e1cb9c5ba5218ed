package qmp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxSocketPath is the size of sun_path without its final zero byte, in bytes (unix(7)).
const maxSocketPath = 107

// connect connects to the unix socket at path. If the path is too long for a socket address, it uses a short path
// through /proc/self/fd and the directory's descriptor.
func connect(ctx context.Context, path string) (net.Conn, error) {
	address := path
	if len(path) > maxSocketPath {
		dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return nil, errors.Unwrap(err) // only the cause: our own error names the path
		}
		defer func() { _ = dir.Close() }()
		address = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	}
	if len(address) > maxSocketPath {
		return nil, fmt.Errorf("a socket's name of %d bytes: must be shorter", len(filepath.Base(path)))
	}
	full := false
	for pause := time.Millisecond; ; pause = min(2*pause, longestPause) {
		conn, err := dial(ctx, address)
		full = full || errors.Is(err, syscall.EAGAIN)
		if errors.Is(err, context.DeadlineExceeded) && full {
			err = fmt.Errorf("%w: %w", ErrNoGreeting, err)
		}
		if !errors.Is(err, syscall.EAGAIN) {
			return conn, err
		}
		select {
		case <-ctx.Done(): // the next attempt returns the error
		case <-time.After(pause):
		}
	}
}

// longestPause is the longest pause between two attempts to connect while QEMU's queue is full. QEMU lets one client
// wait (listen(2), a backlog of 1), and no event reports that the queue has room.
const longestPause = 20 * time.Millisecond

// dial tries to connect once. The error is EAGAIN if the queue is full.
func dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", address)
	if err == nil {
		return conn, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) { // the dialer noticed it before ctx, and has another error for it
		return nil, context.DeadlineExceeded
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // without the address, which may be the short path
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	return nil, err
}

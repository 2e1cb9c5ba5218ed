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

// maxSocketPath is what fits into sun_path with its final zero byte, unix(7).
const maxSocketPath = 107

// connect opens a stream to the unix socket at path. One whose path is too long for an address is reached through its
// directory, which /proc/self/fd gives a short name.
func connect(ctx context.Context, path string) (net.Conn, error) {
	address := path
	if len(path) > maxSocketPath {
		dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return nil, errors.Unwrap(err) // its cause: the path is in our own text
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
		case <-ctx.Done(): // so says the next try
		case <-time.After(pause):
		}
	}
}

// longestPause is that between two tries to get into the row of those who wait for QEMU. It lets one wait there
// (listen(2), a backlog of 1), and no event tells of a place.
const longestPause = 20 * time.Millisecond

// dial tries it once. The error is EAGAIN when as many clients wait as may.
func dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", address)
	if err == nil {
		return conn, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) { // the dialer knew it first, and has other words for it
		return nil, context.DeadlineExceeded
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // without the address, which is not always the path
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	return nil, err
}

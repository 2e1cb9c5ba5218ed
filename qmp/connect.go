package qmp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

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
	conn, err := new(net.Dialer).DialContext(ctx, "unix", address)
	if err == nil {
		return conn, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // without the address, which is not always the path
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	if errors.Is(err, syscall.EAGAIN) { // as many clients wait already as the socket's backlog holds
		err = fmt.Errorf("%w: %w", ErrNoGreeting, err)
	}
	return nil, err
}

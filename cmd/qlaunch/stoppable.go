package main

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// stoppable is standard input whose reads end when a context ends. The terminal or pipe is shared with other
// processes, so it is not put into non-blocking mode, which deadlines need; poll(2) waits for it instead.
type stoppable struct {
	file    *os.File
	stopped *os.File // becomes readable (end of file) when the context ends
}

// newStoppable makes one from a reader that is a file. The caller must call the returned function.
func newStoppable(ctx context.Context, r io.Reader) (*stoppable, func(), error) {
	file, ok := r.(*os.File)
	if !ok {
		return nil, nil, errors.New("standard input is not a file")
	}
	stopped, stop, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	unhook := context.AfterFunc(ctx, func() { _ = stop.Close() })
	return &stoppable{file, stopped}, func() {
		unhook()
		_ = stop.Close()
		_ = stopped.Close()
	}, nil
}

// errStopped is the error of a read that the context has ended.
var errStopped = errors.New("stopped")

func (s *stoppable) Read(p []byte) (int, error) {
	fds := []unix.PollFd{
		{Fd: int32(s.file.Fd()), Events: unix.POLLIN},
		{Fd: int32(s.stopped.Fd()), Events: unix.POLLIN},
	}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
			continue // a signal, of which the Go runtime makes some itself
		case err != nil:
			return 0, err
		case fds[1].Revents != 0:
			return 0, errStopped
		}
		return s.file.Read(p)
	}
}

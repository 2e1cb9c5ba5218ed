package main

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"
)

// duplex is a connection of which each direction can end by itself: the serial console's and, to a guest's sshd,
// TCP's.
type duplex interface {
	io.ReadWriter
	CloseWrite() error
	SetDeadline(time.Time) error
}

// errHungUp is the end of a connection by the other side.
var errHungUp = errors.New("the other side closed the connection")

// relay carries bytes both ways between a connection and this process's own ends, and says what was the end of it:
// errHungUp, mostly, or ctx's cause, or what send returned. An input that is at its end, for which send returns nil,
// is no end: the answer is still to come.
func relay(ctx context.Context, conn duplex, in io.Reader, out io.Writer, send func(io.Reader) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	input, closeInput, err := newStoppable(ctx, in)
	if err != nil {
		return err
	}
	defer closeInput()
	var both sync.WaitGroup
	both.Go(func() {
		// Whoever hung up has sent its last bytes, which are read below.
		if err := send(input); err != nil && !hungUp(err) {
			cancel(err)
		}
	})
	both.Go(func() {
		_, err := io.Copy(out, conn)
		if err == nil || hungUp(err) {
			err = errHungUp
		}
		cancel(err)
	})
	<-ctx.Done()
	_ = conn.SetDeadline(time.Unix(1, 0)) // ends what waits for the other side
	both.Wait()
	return context.Cause(ctx)
}

func hungUp(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

package main

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"
)

// duplex is a connection whose two directions can be closed separately: the serial console's, or TCP's to a guest's
// sshd.
type duplex interface {
	io.ReadWriter
	CloseWrite() error
	SetDeadline(time.Time) error
}

// errHungUp means that the other side closed the connection.
var errHungUp = errors.New("the other side closed the connection")

// relay copies data in both directions between a connection and this process's streams, and returns why it ended:
// mostly errHungUp, else ctx's cause, or the error of send. If send returns nil, the input has ended, and relay waits
// for the rest of the output.
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
		// The other side sent its last bytes before it closed; they are read below.
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
	_ = conn.SetDeadline(time.Unix(1, 0)) // ends pending reads and writes
	both.Wait()
	return context.Cause(ctx)
}

func hungUp(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

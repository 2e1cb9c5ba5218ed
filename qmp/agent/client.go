// Package agent talks to QEMU's guest agent, a program in the guest that answers
// on a virtio-serial port and can tell the guest's addresses, shut it down and
// run programs in it.
//
// Open finds out whether somebody answers. The surprising fact: writing to the
// channel succeeds with nobody there, and what an earlier client asked and did
// not wait for is answered to the next one. So a client begins with
// guest-sync-delimited and a number that nobody can guess, and throws away all
// that comes before the answer to it.
//
// The other end is the guest, which may be anybody's: every answer is bounded
// before it is kept, and parsed strictly; every text in one is the guest's own
// and not fit for a terminal.
//
// The protocol is described in QEMU's docs/interop/qemu-ga-ref.
package agent

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// What a caller may have to tell apart, with errors.Is.
var (
	// ErrSilent means that nobody answered in time: no agent runs in the guest, it is stuck, or the guest is.
	ErrSilent = errors.New("the guest agent does not answer")
	// ErrNotAgent means that an answer was not the agent's protocol, or larger than any that was asked for.
	ErrNotAgent = errors.New("not a guest agent's answer")
	// ErrEnded means that the channel was closed from the other end, mostly because QEMU is gone.
	ErrEnded = errors.New("the guest agent's channel ended")
	// ErrNoProgram means that the guest has no program of that name.
	ErrNoProgram = errors.New("no such program in the guest")
)

// silence is ErrSilent, by the end of a context.
type silence struct{ cause error }

func (*silence) Error() string     { return ErrSilent.Error() }
func (e *silence) Unwrap() []error { return []error{ErrSilent, e.cause} }

// Error is the agent's refusal of a command.
type Error struct {
	Command string
	Class   string // GenericError, CommandNotFound, …
	Desc    string // the guest's own words, as they came: not fit for a terminal
}

// Is tells ErrNoProgram. The agent has no class for that: it gives the words of GLib's g_spawn_async_with_pipes, which it calls
// (QEMU's qga/commands.c), with what exec(2) said, in English unless somebody has given the agent a locale.
func (e *Error) Is(target error) bool {
	return target == ErrNoProgram && e.Command == "guest-exec" && strings.Contains(e.Desc, "No such file or directory")
}

func (e *Error) Error() string { return brief(e.Class) + ": " + brief(e.Desc) }

// brief is enough of a text for whoever reads an error.
func brief(text string) string {
	const most = 500
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// Client is a connection on which an agent has answered. It is for one
// goroutine, and after an error other than an *Error it is of no more use.
type Client struct {
	conn    net.Conn
	answers answers
}

// Open makes a client of a connection to the channel, once the agent answers.
// It waits for that until ctx ends: the error then wraps ErrSilent. The connection stays the caller's to close.
func Open(ctx context.Context, conn net.Conn) (*Client, error) {
	c := &Client{conn: conn, answers: answers{bufio.NewReaderSize(conn, 64<<10)}}
	id, err := unguessable()
	if err != nil {
		return nil, err
	}
	defer c.within(ctx)()
	// A byte that JSON cannot hold makes the agent forget what a client before this one began.
	if err := c.send(fmt.Appendf([]byte{delimiter}, `{"execute":"guest-sync-delimited","arguments":{"id":%d}}`+"\n", id)); err != nil {
		return nil, c.why(ctx, err)
	}
	if err := c.answers.sync(id); err != nil {
		return nil, c.why(ctx, err)
	}
	return c, nil
}

// unguessable is a number for a synchronisation: what the guest sends unasked must not pass for the answer to it.
func unguessable() (int64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, err
	}
	return int64(binary.NativeEndian.Uint64(b[:]) >> 11), nil // 53 bits, which every JSON parser keeps
}

// run gives the agent one command and reads its answer, of at most so many bytes.
func (c *Client) run(ctx context.Context, command string, arguments any, most int) (json.RawMessage, error) {
	line, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, arguments})
	if err != nil {
		return nil, err
	}
	defer c.within(ctx)()
	if err := c.send(append(line, '\n')); err != nil {
		return nil, c.why(ctx, err)
	}
	answer, err := c.answers.next(most)
	if refused, ok := errors.AsType[*Error](err); ok {
		refused.Command = command
		return nil, refused
	}
	if err != nil {
		return nil, c.why(ctx, err)
	}
	return answer, nil
}

func (c *Client) send(line []byte) error {
	_, err := c.conn.Write(line)
	return err
}

// within lets reads and writes end when ctx does, until the function that it returns is called.
func (c *Client) within(ctx context.Context) (done func()) {
	expired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.conn.SetDeadline(time.Unix(1, 0)) // long ago: what waits returns at once
		close(expired)
	})
	return func() {
		if !stop() {
			<-expired // or it would cut the next command off
		}
	}
}

// why says what an error of a read or write means.
func (c *Client) why(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, ErrNotAgent):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded) && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &silence{context.Cause(ctx)}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // without the address, which is not always the path
	}
	return fmt.Errorf("%w: %w", ErrEnded, err)
}

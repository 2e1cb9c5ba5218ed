// Package agent talks to the QEMU guest agent, a program in the guest that serves a virtio-serial port. It can report
// the guest's addresses, shut the guest down and run programs in it.
//
// Open checks that an agent replies. A write to the channel succeeds even if no program reads it, and the reply to a
// command of an earlier client that did not wait goes to the next client. So a client begins with
// guest-sync-delimited and a random number, and discards everything before the reply with that number.
//
// The guest is untrusted: the size of every reply is limited before it is stored, replies are parsed strictly, and
// texts in them are the guest's own and must not be printed to a terminal unfiltered.
//
// The protocol is described in QEMU's docs/interop/qemu-ga-ref.
package agent

import (
	"bufio"
	"bytes"
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

// Errors that a caller may check for with errors.Is.
var (
	// ErrSilent means that no reply came in time: no agent runs in the guest, or the agent or the guest hangs.
	ErrSilent = errors.New("the guest agent does not answer")
	// ErrNotAgent means that a reply does not follow the agent's protocol, or exceeds its maximal size.
	ErrNotAgent = errors.New("not a guest agent's answer")
	// ErrEnded means that the other end closed the channel, mostly because QEMU has ended.
	ErrEnded = errors.New("the guest agent's channel ended")
	// ErrNoProgram means that the guest has no program of that name.
	ErrNoProgram = errors.New("no such program in the guest")
)

// silentError is ErrSilent with the cause of the context's end.
type silentError struct{ cause error }

func (*silentError) Error() string     { return ErrSilent.Error() }
func (e *silentError) Unwrap() []error { return []error{ErrSilent, e.cause} }

// Error says that the agent refused a command.
type Error struct {
	Command string
	Class   string // GenericError, CommandNotFound, …
	Desc    string // the guest's own text, unchanged: do not print it to a terminal unfiltered
}

// Is reports whether the error means ErrNoProgram. The agent has no error class for that: it passes on the message of
// GLib's g_spawn_async_with_pipes, which it calls (QEMU's qga/commands.c), with the error of exec(2), in English
// unless somebody has set a locale for the agent.
func (e *Error) Is(target error) bool {
	return target == ErrNoProgram && e.Command == "guest-exec" && strings.Contains(e.Desc, "No such file or directory")
}

func (e *Error) Error() string { return brief(e.Class) + ": " + brief(e.Desc) }

// brief shortens a text to what fits into an error message.
func brief(text string) string {
	const most = 500
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// Client is a connection to an agent that has replied. It must be used by one goroutine only, and must not be used
// after an error other than an *Error.
type Client struct {
	conn    net.Conn
	replies replies
}

// Open returns a client for a connection to the channel as soon as the agent replies. If ctx ends first, the error
// wraps ErrSilent. The caller has to close the connection.
func Open(ctx context.Context, conn net.Conn) (*Client, error) {
	c := &Client{conn: conn, replies: replies{bufio.NewReaderSize(conn, 64<<10)}}
	id, err := randomID()
	if err != nil {
		return nil, err
	}
	defer c.within(ctx)()
	// A byte that is invalid in JSON makes the agent discard a command that an earlier client did not finish.
	if err := c.send(fmt.Appendf([]byte{delimiter}, `{"execute":"guest-sync-delimited","arguments":{"id":%d}}`+"\n", id)); err != nil {
		return nil, c.ioError(ctx, err)
	}
	if err := c.replies.sync(id); err != nil {
		return nil, c.ioError(ctx, err)
	}
	return c, nil
}

// randomID returns a number for a synchronisation. The guest cannot guess it, so nothing that it sent earlier can
// pass for the reply.
func randomID() (int64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, err
	}
	return int64(binary.NativeEndian.Uint64(b[:]) >> 11), nil // 53 bits, which every JSON parser keeps
}

// run sends one command to the agent and reads the reply, of at most most bytes.
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
		return nil, c.ioError(ctx, err)
	}
	reply, err := c.replies.next(most)
	if refused, ok := errors.AsType[*Error](err); ok {
		refused.Command = command
		return nil, refused
	}
	if err != nil {
		return nil, c.ioError(ctx, err)
	}
	return reply, nil
}

func (c *Client) send(line []byte) error {
	_, err := c.conn.Write(line)
	return err
}

// within makes reads and writes fail when ctx ends, until the returned function is called.
func (c *Client) within(ctx context.Context) (done func()) {
	expired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.conn.SetDeadline(time.Unix(1, 0)) // in the past: pending calls return at once
		close(expired)
	})
	return func() {
		if !stop() {
			<-expired // otherwise it would interrupt the next command
		}
	}
}

// ioError returns the error of this package for an error of a read or write.
func (c *Client) ioError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, ErrNotAgent):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded) && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &silentError{context.Cause(ctx)}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // without the address, which is not always the path
	}
	return fmt.Errorf("%w: %w", ErrEnded, err)
}

// delimiter precedes the reply to guest-sync-delimited. It is invalid in UTF-8, so no other reply can contain it.
const delimiter = 0xff

const (
	// maxReply is the maximal size of a reply without a program's output, in bytes. A guest with a hundred containers
	// has as many interfaces, which take some 50 kB.
	maxReply = 1 << 20
	// maxStale is the maximal size of the data before the reply to the synchronisation, in bytes: replies that an
	// earlier client did not read.
	maxStale = 2 * maxOutputReply
)

// maxOutputReply is the maximal size of a reply with a program's output, in bytes. The agent keeps 16 MiB of each
// stream (QEMU's qga/commands.c, GUEST_EXEC_MAX_OUTPUT), and base64 adds a third.
const maxOutputReply = 48 << 20

// replies reads what the guest sends, line by line.
type replies struct{ r *bufio.Reader }

// sync discards everything before the reply to the synchronisation with this number. A peer that keeps sending other
// data is not an agent: sync says so after maxStale bytes, or, on a host too busy to read that much, at the deadline
// if the peer has sent more than maxReply bytes by then.
func (r replies) sync(id int64) error {
	for stale := 0; ; {
		skipped, err := r.skip(maxStale - stale)
		stale += skipped
		if errors.Is(err, os.ErrDeadlineExceeded) && stale > maxReply {
			return errOtherData
		}
		if err != nil {
			return err
		}
		line, err := r.line(maxReply)
		if err != nil {
			return err
		}
		stale += len(line)
		if got, err := parseSync(line); err == nil && got == id {
			return nil
		}
	}
}

// errOtherData means that a peer sends data, but no reply to the synchronisation.
var errOtherData = notAgent("it sends other data and does not answer the synchronisation")

// skip reads up to and including the next delimiter, and returns the number of bytes.
func (r replies) skip(most int) (int, error) {
	for n := 0; n <= most; {
		piece, err := r.r.ReadSlice(delimiter)
		n += len(piece)
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return n, err
		}
	}
	return 0, errOtherData
}

// next reads the reply to the command that was just sent, and returns its value.
func (r replies) next(most int) (json.RawMessage, error) {
	line, err := r.line(most)
	if err != nil {
		return nil, err
	}
	return parseReply(line)
}

// line reads a line of at most most bytes, and returns it without the newline.
func (r replies) line(most int) ([]byte, error) {
	var line []byte
	for {
		piece, err := r.r.ReadSlice('\n')
		if len(line)+len(piece) > most {
			return nil, notAgent("a line of more than %d KiB", most>>10)
		}
		line = append(line, piece...)
		if err == nil {
			return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// parseSync returns the number in the reply to a synchronisation.
func parseSync(line []byte) (int64, error) {
	reply, err := parseReply(line)
	if err != nil {
		return 0, err
	}
	var id int64
	return id, parseReturn(reply, &id)
}

// parseReply returns the value in a reply. The error is an *Error if the agent refused the command.
func parseReply(line []byte) (json.RawMessage, error) {
	var reply struct {
		Return json.RawMessage `json:"return"`
		Error  *struct {
			Class string `json:"class"`
			Desc  string `json:"desc"`
		} `json:"error"`
	}
	switch err := json.Unmarshal(line, &reply); {
	case err != nil:
		return nil, notJSON(err)
	case reply.Error != nil:
		return nil, &Error{Class: reply.Error.Class, Desc: reply.Error.Desc}
	case reply.Return == nil:
		return nil, notAgent("neither a return nor an error")
	}
	return reply.Return, nil
}

// parseReturn decodes the value of a reply.
func parseReturn(reply json.RawMessage, into any) error {
	if err := json.Unmarshal(reply, into); err != nil {
		return notJSON(err)
	}
	return nil
}

// notJSON drops the names of Go types from an error.
func notJSON(err error) error {
	if bad, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return notAgent("%s", strings.TrimPrefix(brief(bad.Field)+" is a JSON "+brief(bad.Value), " is "))
	}
	return notAgent("%v", err)
}

func notAgent(format string, values ...any) error {
	return fmt.Errorf("%w: %s", ErrNotAgent, fmt.Sprintf(format, values...))
}

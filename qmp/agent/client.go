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

// delimiter comes before the answer to guest-sync-delimited. No other answer can hold it: it is no UTF-8.
const delimiter = 0xff

const (
	// mostAnswer bounds an answer without a program's output, in bytes. A guest with a hundred containers has
	// as many interfaces, which take some 50 kB.
	mostAnswer = 1 << 20
	// mostStale bounds what is thrown away before the answer to the synchronisation: what an earlier
	// client asked for and did not read.
	mostStale = 2 * mostOutput
)

// mostOutput bounds the answer that holds a program's output. The agent keeps
// 16 MiB of each stream (QEMU's qga/commands.c, GUEST_EXEC_MAX_OUTPUT), which base64 makes a third longer.
const mostOutput = 48 << 20

// answers are what the guest sends, line by line.
type answers struct{ r *bufio.Reader }

// sync throws away all that comes before the answer to the synchronisation of
// that number. A peer that keeps sending other data is no agent: it is so called
// after mostStale bytes, or, on a host too busy to read that much, at the
// deadline, if it has sent more by then than a single answer has.
func (a answers) sync(id int64) error {
	for stale := 0; ; {
		skipped, err := a.skip(mostStale - stale)
		stale += skipped
		if errors.Is(err, os.ErrDeadlineExceeded) && stale > mostAnswer {
			return errOtherData
		}
		if err != nil {
			return err
		}
		line, err := a.line(mostAnswer)
		if err != nil {
			return err
		}
		stale += len(line)
		if got, err := parseSync(line); err == nil && got == id {
			return nil
		}
	}
}

// errOtherData means that a peer sends, but not what it was asked for.
var errOtherData = notAgent("it sends other data and does not answer the synchronisation")

// skip reads to behind the next delimiter, and says how much that was.
func (a answers) skip(most int) (int, error) {
	for n := 0; n <= most; {
		piece, err := a.r.ReadSlice(delimiter)
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

// next is what the agent returns: the answer to the command just given.
func (a answers) next(most int) (json.RawMessage, error) {
	line, err := a.line(most)
	if err != nil {
		return nil, err
	}
	return parseAnswer(line)
}

// line reads a line of at most so many bytes, without its end.
func (a answers) line(most int) ([]byte, error) {
	var line []byte
	for {
		piece, err := a.r.ReadSlice('\n')
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

// parseSync reads the number out of the answer to a synchronisation.
func parseSync(line []byte) (int64, error) {
	answer, err := parseAnswer(line)
	if err != nil {
		return 0, err
	}
	var id int64
	return id, parseReturn(answer, &id)
}

// parseAnswer takes what the agent returns out of an answer. The error is an *Error when the agent refused.
func parseAnswer(line []byte) (json.RawMessage, error) {
	var answer struct {
		Return json.RawMessage `json:"return"`
		Error  *struct {
			Class string `json:"class"`
			Desc  string `json:"desc"`
		} `json:"error"`
	}
	switch err := json.Unmarshal(line, &answer); {
	case err != nil:
		return nil, notJSON(err)
	case answer.Error != nil:
		return nil, &Error{Class: answer.Error.Class, Desc: answer.Error.Desc}
	case answer.Return == nil:
		return nil, notAgent("neither a return nor an error")
	}
	return answer.Return, nil
}

// parseReturn decodes what the agent returned.
func parseReturn(answer json.RawMessage, into any) error {
	if err := json.Unmarshal(answer, into); err != nil {
		return notJSON(err)
	}
	return nil
}

// notJSON leaves Go's names for things out.
func notJSON(err error) error {
	if bad, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return notAgent("%s", strings.TrimPrefix(brief(bad.Field)+" is a JSON "+brief(bad.Value), " is "))
	}
	return notAgent("%v", err)
}

func notAgent(format string, values ...any) error {
	return fmt.Errorf("%w: %s", ErrNotAgent, fmt.Sprintf(format, values...))
}

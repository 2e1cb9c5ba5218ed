package qmp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"unicode/utf8"

	goqemu "github.com/digitalocean/go-qemu/qmp"
)

// maxMessage is the maximal size of a message, in bytes. The largest common one is the reply to query-qmp-schema, 207
// kB in QEMU 7.2.
const maxMessage = 4 << 20

// message is any message of QEMU: the greeting, an event, or a reply. Their keys distinguish them (qmp-spec, section
// 2).
type message struct {
	QMP    *hello          `json:"QMP"`
	Event  string          `json:"event"`
	ID     *uint64         `json:"id"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`

	event goqemu.Event // if Event is set
	raw   []byte       // the message as it came
}

// hello is QEMU's greeting; only the fields that are used.
type hello struct {
	Version struct {
		QEMU struct {
			Major, Minor int
		} `json:"qemu"`
	} `json:"version"`
}

// decoder splits a stream into messages.
type decoder struct {
	json  *json.Decoder
	input *boundedReader
}

func newDecoder(r io.Reader) *decoder {
	input := &boundedReader{r: r}
	return &decoder{json.NewDecoder(input), input}
}

// next returns the next message. The error wraps ErrEnded at the end of the stream; after an error there is no next
// one.
func (d *decoder) next() (message, error) {
	d.input.limit = d.json.InputOffset() + maxMessage
	var raw json.RawMessage
	if err := d.json.Decode(&raw); err != nil {
		return message{}, streamError(err)
	}
	msg := message{raw: raw}
	err := json.Unmarshal(raw, &msg)
	if err == nil && msg.Event != "" {
		err = json.Unmarshal(raw, &msg.event)
	}
	if err != nil {
		return message{}, notQMP(err)
	}
	return msg, msg.check()
}

// check refuses a message that belongs to no request.
func (msg message) check() error {
	switch {
	case msg.QMP != nil, msg.Event != "", msg.ID != nil && (msg.Return != nil || msg.Error != nil):
		return nil
	case msg.Error != nil: // QEMU could not parse a request, so the error has no id
		return fmt.Errorf("a request was not understood: %s", msg.Error.Desc)
	case msg.Return != nil:
		return notQMP(errors.New("a reply without an id"))
	}
	return notQMP(errors.New("neither greeting, event nor reply"))
}

// streamError returns the error for the end of the stream.
func streamError(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // without the addresses, which our own error has
	}
	switch {
	case err == io.EOF: //nolint:errorlint // the decoder returns it bare, and only that one is the end between two messages
		return ErrEnded
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE): // QEMU closed the connection while data of ours was unread
		return ErrEnded
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w in the middle of a message", ErrEnded)
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return notQMP(err)
	}
	if errors.Is(err, errTooLarge) {
		return notQMP(err)
	}
	return fmt.Errorf("%w: %w", ErrEnded, err)
}

// notQMP returns the error for a stream that is not QMP, without the names of Go types.
func notQMP(err error) error {
	if bad, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if bad.Field == "" {
			return fmt.Errorf("not QMP: a message is a JSON %s", bad.Value)
		}
		return fmt.Errorf("not QMP: %s is a JSON %s", bad.Field, bad.Value)
	}
	return fmt.Errorf("not QMP: %w", err)
}

var errTooLarge = fmt.Errorf("a message of more than %d MiB", maxMessage>>20)

// boundedReader reads up to a limit. Its owner moves the limit from message to message, so that the decoder buffers
// no more than one message.
type boundedReader struct {
	r           io.Reader
	read, limit int64 // bytes from the start of the stream
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.read >= b.limit {
		return 0, errTooLarge
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.limit-b.read)])
	b.read += int64(n)
	return n, err
}

// request is a command without its id.
type request struct {
	name   string
	fields map[string]json.RawMessage
}

// parseRequest refuses a command for which QEMU would send an error without an id, since such an error ends the
// connection.
func parseRequest(command []byte) (request, error) {
	req := request{fields: map[string]json.RawMessage{}}
	if !utf8.Valid(command) {
		return req, errors.New("a command that is not UTF-8")
	}
	if err := json.Unmarshal(command, &req.fields); err != nil {
		if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return req, errors.New("a command must be a JSON object")
		}
		return req, fmt.Errorf("a command must be JSON: %w", err)
	}
	if json.Unmarshal(req.fields["execute"], &req.name) != nil || req.name == "" {
		return req, errors.New(`a command must have its name under "execute"`)
	}
	return req, nil
}

// encode returns the request as one line with its id.
func (req request) encode(id uint64) []byte {
	req.fields["id"] = fmt.Append(nil, id)
	line, err := json.Marshal(req.fields)
	if err != nil {
		panic(err) // cannot happen: every field comes from valid JSON
	}
	return append(line, '\n')
}

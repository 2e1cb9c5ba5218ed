// Package qmp talks to a running QEMU over its QEMU Machine Protocol (QMP) socket.
//
// Dial returns a Monitor, which has the commands that qlaunch needs. Below them is a Conn, which implements go-qemu's
// qmp.Monitor, so that go-qemu's generated commands (qmp/raw) can use it. The transport is our own, since go-qemu's SocketMonitor has no
// deadline for the greeting or a command, accepts no reply above 64 KiB, passes a late reply to the next command, and
// hangs if nobody reads its events.
//
// A QMP socket serves one client at a time. A second client can connect, but receives nothing, just as if QEMU were
// stopped: the error is ErrNoGreeting.
//
// The protocol is described in QEMU's docs/interop/qmp-spec.
package qmp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	goqemu "github.com/digitalocean/go-qemu/qmp"
)

// RunTimeout is the timeout of a Run without a context. go-qemu's interface has no parameter for one; prefer With, or
// the commands, which take a context.
const RunTimeout = time.Minute

// Conn is a connection to QEMU's monitor, with the methods of go-qemu's qmp.Monitor. Its methods may be called from several goroutines at once; an id
// connects each reply to its command, and QEMU runs the commands in the order in which they were sent.
type Conn struct {
	path     string
	conn     net.Conn
	greeting chan hello    // receives the greeting, for the handshake
	greeted  hello         // the greeting; set by the handshake
	writing  chan struct{} // full while a goroutine writes: a mutex whose wait a context can end
	done     chan struct{} // closed when the reader has ended
	events   events

	mu      sync.Mutex
	lastID  uint64
	pending map[uint64]chan message // by request id; closed without a value when the connection ends
	end     error                   // why the connection ended; nil while it lives
}

var _ goqemu.Monitor = (*Conn)(nil)

// open makes a Conn from a socket. It closes the socket if that fails or ctx ends.
func open(ctx context.Context, conn net.Conn, path string) (*Conn, error) {
	m := &Conn{
		path:     path,
		conn:     conn,
		greeting: make(chan hello, 1),
		writing:  make(chan struct{}, 1),
		done:     make(chan struct{}),
		pending:  map[uint64]chan message{},
	}
	go m.read() // ends with the connection
	if err := m.handshake(ctx); err != nil {
		_ = m.Close()
		return nil, err
	}
	return m, nil
}

// handshake leaves the negotiation mode. It enables no capability, so it need not wait for the greeting, which lists
// them, before it sends: QEMU reads what it received after it has sent the greeting, which saves a round trip.
func (m *Conn) handshake(ctx context.Context) error {
	negotiation, err := m.begin(ctx, request{name: "qmp_capabilities", fields: map[string]json.RawMessage{"execute": []byte(`"qmp_capabilities"`)}})
	if cause := m.cause(); err != nil && cause != nil {
		return &failure{m.path, "wait for the greeting", cause}
	}
	if err != nil {
		return &failure{m.path, "qmp_capabilities", err}
	}
	defer m.forget(negotiation.id)
	select {
	case m.greeted = <-m.greeting:
	case <-m.done:
		return &failure{m.path, "wait for the greeting", m.cause()}
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return &failure{m.path, "connect", fmt.Errorf("%w: %w", ErrNoGreeting, ctx.Err())}
		}
		return &failure{m.path, "wait for the greeting", ctx.Err()}
	}
	_, err = m.finish(ctx, negotiation)
	return err
}

// Release returns QEMU's major and minor version from its greeting, such as 7, 2; without one it returns 0, 0.
func (m *Conn) Release() (major, minor int) {
	return m.greeted.Version.QEMU.Major, m.greeted.Version.QEMU.Minor
}

// Connect is part of go-qemu's interface. Dial has connected already, so it only returns why the connection ended;
// nil if it has not.
func (m *Conn) Connect() error {
	if err := m.cause(); err != nil {
		return &failure{m.path, "connect", err}
	}
	return nil
}

// Disconnect calls Close; it is part of go-qemu's interface.
func (m *Conn) Disconnect() error { return m.Close() }

// Close closes the connection and ends the goroutine that reads it. Commands that wait for a reply return ErrClosed,
// and the channels of Events are closed. It may be called more than once, and always returns nil.
func (m *Conn) Close() error {
	m.fail(ErrClosed)
	<-m.done
	return nil
}

// With returns the same monitor with a Run that ends when ctx ends, for raw.NewMonitor.
func (m *Conn) With(ctx context.Context) goqemu.Monitor { return bounded{m, ctx} }

// bounded holds a context, since go-qemu's Run has no parameter for one.
type bounded struct {
	*Conn
	ctx context.Context
}

// Run is Conn.Run, limited by the context.
func (b bounded) Run(command []byte) ([]byte, error) { return b.run(b.ctx, command) }

// Run sends one command, a JSON object as in QMP, and returns the whole reply, {"return": …, "id": …}. It replaces an
// "id" in the command by one of its own. The error is an *Error if QEMU refused the command. Run waits for at most
// RunTimeout.
func (m *Conn) Run(command []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), RunTimeout)
	defer cancel()
	return m.run(ctx, command)
}

func (m *Conn) run(ctx context.Context, command []byte) ([]byte, error) {
	req, err := parseRequest(command)
	if err != nil {
		return nil, &failure{m.path, "run", err}
	}
	c, err := m.begin(ctx, req)
	if err != nil {
		return nil, &failure{m.path, req.name, err}
	}
	defer m.forget(c.id)
	return m.finish(ctx, c)
}

// call is a command that was sent. A caller that gives up forgets it; its late reply is then discarded, and the
// connection stays usable.
type call struct {
	name  string
	id    uint64
	reply <-chan message
}

// begin sends a command. The caller must call forget in the end.
func (m *Conn) begin(ctx context.Context, req request) (call, error) {
	if err := ctx.Err(); err != nil {
		return call{}, err
	}
	id, reply, err := m.register()
	if err != nil {
		return call{}, err
	}
	if err := m.send(ctx, req.encode(id)); err != nil {
		m.forget(id)
		return call{}, err
	}
	return call{req.name, id, reply}, nil
}

// finish waits for the reply to a command.
func (m *Conn) finish(ctx context.Context, c call) ([]byte, error) {
	select {
	case msg, ok := <-c.reply:
		if !ok {
			return nil, &failure{m.path, c.name, m.cause()}
		}
		if msg.Error != nil {
			return nil, &failure{m.path, c.name, &Error{c.name, msg.Error.Class, msg.Error.Desc}}
		}
		return msg.raw, nil
	case <-ctx.Done():
		return nil, &failure{m.path, c.name, fmt.Errorf("no reply: %w", ctx.Err())}
	}
}

func (m *Conn) register() (uint64, <-chan message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.end != nil {
		return 0, nil, m.end
	}
	m.lastID++
	reply := make(chan message, 1) // buffered: the reader never waits for the caller
	m.pending[m.lastID] = reply
	return m.lastID, reply, nil
}

func (m *Conn) forget(id uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pending, id)
}

// send writes one request before ctx ends. It returns no error if the other end is gone: the reader then reads QEMU's
// last messages and the end of the connection, and reports the latter to all callers.
func (m *Conn) send(ctx context.Context, line []byte) error {
	select {
	case m.writing <- struct{}{}:
		defer func() { <-m.writing }()
	case <-m.done:
		return m.cause()
	case <-ctx.Done():
		return fmt.Errorf("not sent: %w", ctx.Err())
	}
	_ = m.conn.SetWriteDeadline(time.Time{})
	expired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = m.conn.SetWriteDeadline(time.Unix(1, 0)) // in the past: the write returns at once
		close(expired)
	})
	n, err := m.conn.Write(line)
	if !stop() {
		<-expired // otherwise it would interrupt the next writer
	}
	switch {
	case err == nil, errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return nil
	case n > 0:
		m.fail(errCutOff) // QEMU would take the next request for the rest of this one
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = ctx.Err()
	}
	return fmt.Errorf("not sent: %w", err)
}

// read passes each message to its receiver, in the order of the stream: an event that precedes a reply is in the
// queues before the caller has the reply. It ends with the connection.
func (m *Conn) read() {
	defer close(m.done)
	dec := newDecoder(m.conn)
	for {
		msg, err := dec.next()
		if err != nil {
			m.fail(err)
			return
		}
		switch {
		case msg.QMP != nil:
			select {
			case m.greeting <- *msg.QMP:
			default: // a second greeting has no new information
			}
		case msg.Event != "":
			m.events.publish(msg)
		default:
			m.deliver(msg)
		}
	}
}

func (m *Conn) deliver(msg message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if reply, ok := m.pending[*msg.ID]; ok {
		delete(m.pending, *msg.ID) // only the first reply counts; a second must not block the reader
		reply <- msg
	}
}

// fail ends the connection for all callers; the first cause is kept.
func (m *Conn) fail(cause error) {
	m.mu.Lock()
	if m.end == nil {
		m.end = cause
	}
	for id, reply := range m.pending {
		delete(m.pending, id)
		close(reply)
	}
	m.mu.Unlock()
	_ = m.conn.Close()
	m.events.close()
}

// cause returns why the connection ended; nil if it has not.
func (m *Conn) cause() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.end
}

// Events returns QEMU's events, beginning with the newest 256 since Dial; these are kept for every caller, so that no
// event is lost between a command and the call. A reader that is more than 256 events behind loses the oldest:
// Dropped counts them. The channel is closed when ctx or the connection ends; events in it can still be read.
func (m *Conn) Events(ctx context.Context) (<-chan goqemu.Event, error) {
	return m.events.subscribe(ctx), nil
}

// Dropped returns the number of events that the readers of Events have lost, all readers together.
func (m *Conn) Dropped() uint64 {
	m.events.mu.Lock()
	defer m.events.mu.Unlock()
	return m.events.dropped
}

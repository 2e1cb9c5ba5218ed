// Package qmp talks to a running QEMU over its QEMU Machine Protocol socket.
//
// Dial gives a Monitor, which implements go-qemu's qmp.Monitor, so that go-qemu's generated commands (qmp/raw)
// run on it; commands.go has those that qlaunch needs. The transport is our own because go-qemu's SocketMonitor
// has no deadline on the greeting or a command, takes no reply above 64 KiB, gives a late reply to whoever asks next
// and stands still for ever once nobody reads its events.
//
// The surprising fact: a QMP socket serves one client at a time. A second one can connect, and then hears nothing,
// just as if QEMU were stopped; that is ErrNoGreeting.
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

// RunTimeout bounds a Run that was given no context of its own: a last resort, as go-qemu's interface has no place
// for a context. Use With, or the commands, which take one.
const RunTimeout = time.Minute

// Monitor is one connection to QEMU's monitor. All its methods may be called from several goroutines at once;
// commands are told apart by their ids, and QEMU runs them in the order in which they were sent.
type Monitor struct {
	path     string
	conn     net.Conn
	greeting chan hello    // holds the greeting from when it came to the handshake
	greeted  hello         // what it was, from the handshake on
	writing  chan struct{} // full while somebody writes: a mutex that can be waited for under a context
	done     chan struct{} // closed when the reader has ended
	events   events

	mu      sync.Mutex
	lastID  uint64
	pending map[uint64]chan message // by request id; closed without a value when the connection ends
	end     error                   // why the connection ended; nil while it lives
}

var _ goqemu.Monitor = (*Monitor)(nil)

// Dial connects to the QMP socket at path, waits for QEMU's greeting and leaves the negotiation mode, all before
// ctx is done. A path may be longer than the 107 bytes of a socket address.
//
// The error is ErrNoGreeting if somebody listens but does not speak before the deadline of ctx; it wraps
// fs.ErrNotExist if there is no socket, and ECONNREFUSED if the socket is there and its QEMU is gone.
func Dial(ctx context.Context, path string) (*Monitor, error) {
	conn, err := connect(ctx, path)
	if err != nil {
		return nil, &failure{path, "connect", err}
	}
	return open(ctx, conn, path)
}

// open makes a Monitor of a connection, which it closes if that does not work out before ctx is done.
func open(ctx context.Context, conn net.Conn, path string) (*Monitor, error) {
	m := &Monitor{
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

// handshake leaves the negotiation mode. No capability is asked for, so the greeting, which lists them, need not be waited
// for: QEMU reads what is there already once it has greeted, and both come in one exchange.
func (m *Monitor) handshake(ctx context.Context) error {
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

// Release is QEMU's major and minor version, as its greeting told it: 7, 2. A greeting without one gives 0, 0.
func (m *Monitor) Release() (major, minor int) {
	return m.greeted.Version.QEMU.Major, m.greeted.Version.QEMU.Minor
}

// Connect is part of go-qemu's interface. Dial has connected already, so it only tells why a connection is no more.
func (m *Monitor) Connect() error {
	if err := m.cause(); err != nil {
		return &failure{m.path, "connect", err}
	}
	return nil
}

// Disconnect is Close, as go-qemu's interface calls it.
func (m *Monitor) Disconnect() error { return m.Close() }

// Close ends the connection and the goroutine that reads it. Commands that wait for a reply return ErrClosed, and the channels
// of Events are closed. It may be called more than once and always returns nil.
func (m *Monitor) Close() error {
	m.fail(ErrClosed)
	<-m.done
	return nil
}

// With is the same monitor with a Run that ends when ctx does, for raw.NewMonitor.
func (m *Monitor) With(ctx context.Context) goqemu.Monitor { return bounded{m, ctx} }

// bounded has a context because go-qemu's Run has no parameter for one.
type bounded struct {
	*Monitor
	ctx context.Context
}

// Run is Monitor.Run within the context.
func (b bounded) Run(command []byte) ([]byte, error) { return b.run(b.ctx, command) }

// Run sends one command, a JSON object as in QMP, and returns the whole reply, {"return": …, "id": …}. An "id" in
// the command is replaced by one of ours. The error is an *Error if QEMU refused. It waits for RunTimeout at most.
func (m *Monitor) Run(command []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), RunTimeout)
	defer cancel()
	return m.run(ctx, command)
}

func (m *Monitor) run(ctx context.Context, command []byte) ([]byte, error) {
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

// call is a command that was sent. A caller that gives up forgets it, and leaves no trace but the id: its late reply finds
// nobody and is thrown away, and the connection goes on.
type call struct {
	name  string
	id    uint64
	reply <-chan message
}

// begin sends a command, which the caller must forget in the end.
func (m *Monitor) begin(ctx context.Context, req request) (call, error) {
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
func (m *Monitor) finish(ctx context.Context, c call) ([]byte, error) {
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

func (m *Monitor) register() (uint64, <-chan message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.end != nil {
		return 0, nil, m.end
	}
	m.lastID++
	reply := make(chan message, 1) // the reader never waits for the caller
	m.pending[m.lastID] = reply
	return m.lastID, reply, nil
}

func (m *Monitor) forget(id uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pending, id)
}

// send writes one request before ctx is done. A write that fails because the other end is gone is no error here: the reader
// comes to the same end behind whatever QEMU said last, and tells it to everybody who waits.
func (m *Monitor) send(ctx context.Context, line []byte) error {
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
		_ = m.conn.SetWriteDeadline(time.Unix(1, 0)) // long ago: the write returns at once
		close(expired)
	})
	n, err := m.conn.Write(line)
	if !stop() {
		<-expired // or it would cut the next writer off
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

// read hands every message to whom it is for, in the order in which they come: an event that comes before a reply is in the
// queues before the caller has its reply. It ends when the connection does.
func (m *Monitor) read() {
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
			default: // a second greeting says nothing new
			}
		case msg.Event != "":
			m.events.publish(msg)
		default:
			m.answer(msg)
		}
	}
}

func (m *Monitor) answer(msg message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if reply, ok := m.pending[*msg.ID]; ok {
		delete(m.pending, *msg.ID) // the first reply counts; a second must not make the reader wait
		reply <- msg
	}
}

// fail ends the connection for everybody; the first cause stays.
func (m *Monitor) fail(cause error) {
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

// cause is why the connection ended; nil while it lives.
func (m *Monitor) cause() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.end
}

// Events returns QEMU's events from Dial on, the newest 256 of those that have been; they are kept for every caller, so that
// none is lost between a command and the call. A reader that is more than 256 behind loses the oldest: Dropped counts them. The
// channel is closed when ctx is done or the connection ends; what is in it can still be read.
func (m *Monitor) Events(ctx context.Context) (<-chan goqemu.Event, error) {
	return m.events.subscribe(ctx), nil
}

// Dropped is the number of events that the readers of Events have missed, all readers together.
func (m *Monitor) Dropped() uint64 {
	m.events.mu.Lock()
	defer m.events.mu.Unlock()
	return m.events.dropped
}

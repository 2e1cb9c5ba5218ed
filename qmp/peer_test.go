package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const greeting = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian 1:7.2"}, "capabilities": ["oob"]}}` + "\r\n"

// peer is QEMU's end of a connection, as a test writes it.
type peer struct {
	t     *testing.T
	conn  net.Conn
	lines *bufio.Scanner

	split int // the stream's byte at which a write is torn in two; 0: none
	sent  int // bytes sent up to now
}

type sentRequest struct {
	Execute   string
	Arguments json.RawMessage
	ID        uint64
}

// send writes s, in two pieces if the byte at which to split falls into it.
func (p *peer) send(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	at := p.split - p.sent
	p.sent += len(s)
	if at <= 0 || at >= len(s) {
		at = 0
	}
	for _, piece := range []string{s[:at], s[at:]} {
		if piece == "" {
			continue
		}
		if _, err := io.WriteString(p.conn, piece); err != nil {
			return // the client has gone, and its own error says so
		}
	}
}

// receive reads one request; the zero value when the client has gone.
func (p *peer) receive() sentRequest {
	var req sentRequest
	if !p.lines.Scan() {
		return req
	}
	if err := json.Unmarshal(p.lines.Bytes(), &req); err != nil {
		p.t.Errorf("request %q: %v", p.lines.Text(), err)
	}
	return req
}

// greet goes through the handshake.
func (p *peer) greet() {
	p.send(greeting)
	req := p.receive()
	if req.Execute != "qmp_capabilities" {
		p.t.Errorf("the first request is %q, want qmp_capabilities", req.Execute)
	}
	p.send(`{"return": {}, "id": %d}`+"\r\n", req.ID)
}

// silence says nothing until the client goes.
func (p *peer) silence() { _, _ = io.Copy(io.Discard, p.conn) }

// play runs the script on conn, and closes conn behind it. The test waits for its end.
func play(t *testing.T, conn net.Conn, script func(*peer)) (ended chan struct{}) {
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		defer conn.Close()
		script(&peer{t: t, conn: conn, lines: bufio.NewScanner(conn)})
	}()
	return ended
}

// socket is the path of a listening socket that plays the script to its first client.
func socket(t *testing.T, script func(*peer)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "qmp.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := l.Accept()
		if err == nil {
			<-play(t, conn, script)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return path
}

// dialScript is a monitor whose QEMU is the script, over a real socket.
func dialScript(t *testing.T, script func(*peer)) *Monitor {
	t.Helper()
	m, err := Dial(generous(t), socket(t, script))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	m.path = "SOCKET"
	return m
}

// openScript is a monitor whose QEMU is the script, over a pipe in memory: within synctest, where time is not the machine's.
func openScript(ctx context.Context, t *testing.T, script func(*peer)) (*Monitor, error) {
	client, server := net.Pipe()
	ended := play(t, server, script)
	m, err := open(ctx, client, "SOCKET")
	t.Cleanup(func() {
		if err == nil {
			m.Close()
		}
		<-ended
	})
	return &Monitor{m}, err
}

// generous is the context of what should not take long, on however slow a machine.
func generous(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// within is a context that is done after d.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// wantError compares the whole text of an error, the socket's path as SOCKET.
func wantError(t *testing.T, err error, path, want string, causes ...error) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", want)
	}
	got := err.Error()
	if path != "" {
		got = strings.ReplaceAll(got, path, "SOCKET")
	}
	if got != want {
		t.Errorf("error\n got %s\nwant %s", got, want)
	}
	for _, cause := range causes {
		if !errors.Is(err, cause) {
			t.Errorf("%v is not %v", err, cause)
		}
	}
}

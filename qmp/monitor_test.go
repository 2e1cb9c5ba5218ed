package qmp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAReplyIsReturnedWhole(t *testing.T) {
	m := dialScript(t, func(p *peer) {
		p.greet()
		req := p.receive()
		p.send(`{"return": {"status": "paused", "singlestep": false, "running": false}, "id": %d}`+"\r\n", req.ID)
	})
	got, err := m.Run([]byte(`{"execute": "query-status", "id": "mine"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"return": {"status": "paused", "singlestep": false, "running": false}, "id": 2}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestAReplyMayBe300Kilobytes(t *testing.T) {
	text := strings.Repeat("x", 300_000)
	m := dialScript(t, func(p *peer) {
		p.greet()
		for range 2 {
			p.send(`{"return": {"UUID": "%s"}, "id": %d}`+"\n", text, p.receive().ID)
		}
	})
	for range 2 {
		got, err := m.UUID(generous(t))
		if err != nil {
			t.Fatal(err)
		}
		if got != text {
			t.Errorf("got %d bytes, want %d", len(got), len(text))
		}
	}
}

func TestARefusalHasItsClassAndQEMUsWordsAsTheyAre(t *testing.T) {
	m := dialScript(t, func(p *peer) {
		p.greet()
		p.send(`{"id": %d, "error": {"class": "Command\u0007NotFound", "desc": "no \u001b[31mred\u009b \u202ething"}}`+"\n", p.receive().ID)
		p.send(`{"id": %d, "return": {}}`+"\n", p.receive().ID)
	})
	_, err := m.With(generous(t)).Run([]byte(`{"execute": "red\u001b[m"}`))
	wantError(t, err, "", "qmp SOCKET: red\x1b[m: Command\aNotFound: no \x1b[31mred\u009b \u202ething")
	refusal, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("%v is no *Error", err)
	}
	want := &Error{Command: "red\x1b[m", Class: "Command\aNotFound", Desc: "no \x1b[31mred\u009b \u202ething"}
	if diff := cmp.Diff(want, refusal); diff != "" {
		t.Error(diff)
	}
	if err := m.Cont(generous(t)); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
}

func TestBrokenStreamsEndEveryCommandWithTheCause(t *testing.T) {
	tests := []struct {
		name, answer, want string
		cause              error
	}{
		{"end of the stream", ``, `connection ended`, ErrEnded},
		{"end within a reply", `{"return": {"running": tr`, `connection ended in the middle of a message`, ErrEnded},
		{"no JSON", `QEMU 7.2.0 monitor - type 'help'`, `not QMP: invalid character 'Q' looking for beginning of value`, nil},
		{"a NUL", "\x00", `not QMP: invalid character '\x00' looking for beginning of value`, nil},
		{"deep nesting", strings.Repeat("[", 20_000), `not QMP: invalid character '[' exceeded max depth`, nil},
		{"no object", `[{"return": {}}]`, `not QMP: a message is a JSON array`, nil},
		{"null", `null`, `not QMP: neither greeting, event nor reply`, nil},
		{"an empty object", `{}`, `not QMP: neither greeting, event nor reply`, nil},
		{"a reply without an id", `{"return": {}}`, `not QMP: a reply without an id`, nil},
		{"an id of another type", `{"return": {}, "id": "2"}`, `not QMP: id is a JSON string`, nil},
		{"an id below zero", `{"return": {}, "id": -1}`, `not QMP: id is a JSON number -1`, nil},
		{"an event of another type", `{"event": 7}`, `not QMP: event is a JSON number`, nil},
		{"a timestamp of another type", `{"event": "STOP", "timestamp": {"seconds": "7"}}`, `not QMP: timestamp.seconds is a JSON string`, nil},
		{"a request that QEMU cannot read", `{"error": {"class": "GenericError", "desc": "JSON parse error, \u001bexpecting value"}}`,
			"a request was not understood: JSON parse error, \x1bexpecting value", nil},
		{"more than 4 MiB", `{"return": "` + strings.Repeat("x", maxMessage), `not QMP: a message of more than 4 MiB`, nil},
		{"more than 4 MiB of nothing", strings.Repeat(" ", maxMessage+1), `not QMP: a message of more than 4 MiB`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := dialScript(t, func(p *peer) {
				p.greet()
				for range 3 {
					p.receive()
				}
				p.send("%s", tt.answer)
			})
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					_, err := m.Status(generous(t))
					wantError(t, err, "", "qmp SOCKET: query-status: "+tt.want)
					if tt.cause != nil && !errors.Is(err, tt.cause) {
						t.Errorf("%v is not %v", err, tt.cause)
					}
				})
			}
			wg.Wait()
			_, err := m.Status(generous(t))
			wantError(t, err, "", "qmp SOCKET: query-status: "+tt.want)
			wantError(t, m.Connect(), "", "qmp SOCKET: connect: "+tt.want)
		})
	}
}

func TestACommandThatIsNotOneIsNotSent(t *testing.T) {
	m := dialScript(t, func(p *peer) {
		p.greet()
		if req := p.receive(); req.Execute != "cont" {
			t.Errorf("got the request %+v", req)
		}
	})
	tests := []struct{ command, want string }{
		{`query-status`, `a command must be JSON: invalid character 'q' looking for beginning of value`},
		{``, `a command must be JSON: unexpected end of JSON input`},
		{`["execute"]`, `a command must be a JSON object`},
		{`null`, `a command must have its name under "execute"`},
		{`{"execute": 7}`, `a command must have its name under "execute"`},
		{`{"execute": ""}`, `a command must have its name under "execute"`},
		{"{\"execute\": \"\xff\"}", `a command that is not UTF-8`},
	}
	for _, tt := range tests {
		_, err := m.Run([]byte(tt.command))
		wantError(t, err, "", "qmp SOCKET: run: "+tt.want)
	}
	if err := m.Cont(generous(t)); !errors.Is(err, ErrEnded) {
		t.Errorf("cont: %v", err)
	}
}

func TestNoGreetingIsAnErrorOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := openScript(within(t, 5*time.Second), t, (*peer).silence)
		wantError(t, err, "", "qmp SOCKET: connect: no greeting: "+
			"another client holds the monitor, or QEMU is stopped: context deadline exceeded", ErrNoGreeting, context.DeadlineExceeded)
	})
}

func TestAnInterruptedDialIsNotBlamedOnQEMU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := openScript(ctx, t, (*peer).silence)
		wantError(t, err, "", "qmp SOCKET: wait for the greeting: context canceled", context.Canceled)
	})
}

func TestHandshakesThatGoWrong(t *testing.T) {
	tests := []struct {
		name   string
		script func(*peer)
		want   string
	}{
		{"no reply to qmp_capabilities", func(p *peer) { p.send(greeting); p.silence() }, "qmp_capabilities: no reply: context deadline exceeded"},
		{"end before the greeting", func(*peer) {}, "wait for the greeting: connection ended"},
		{"end within the greeting", func(p *peer) { p.send("%s", greeting[:40]) }, "wait for the greeting: connection ended in the middle of a message"},
		{"another protocol", func(p *peer) { p.send("220 ready\r\n") }, "wait for the greeting: not QMP: a message is a JSON number"},
		{"a refusal", func(p *peer) {
			p.send(greeting)
			p.send(`{"error": {"class": "GenericError", "desc": "no"}, "id": %d}`, p.receive().ID)
		}, "qmp_capabilities: GenericError: no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := openScript(within(t, 5*time.Second), t, tt.script)
				wantError(t, err, "", "qmp SOCKET: "+tt.want)
			})
		})
	}
}

func TestALateReplyIsNotTheNextCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := openScript(t.Context(), t, func(p *peer) {
			p.greet()
			late, next := p.receive(), p.receive()
			p.send(`{"return": {"UUID": "late"}, "id": %d}`, late.ID)
			p.send(`{"return": {"UUID": "late, and again"}, "id": %d}`, late.ID)
			p.send(`{"return": {"UUID": "next"}, "id": %d}`, next.ID)
			p.silence()
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.UUID(within(t, time.Second))
		wantError(t, err, "", "qmp SOCKET: query-uuid: no reply: context deadline exceeded", context.DeadlineExceeded)
		got, err := m.UUID(within(t, time.Second))
		if got != "next" || err != nil {
			t.Errorf("the next command got %q, %v", got, err)
		}
	})
}

func TestRunWithoutAContextWaitsForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := openScript(t.Context(), t, func(p *peer) { p.greet(); p.silence() })
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = m.Run([]byte(`{"execute": "stop"}`))
		wantError(t, err, "", "qmp SOCKET: stop: no reply: context deadline exceeded")
		if took := time.Since(start); took != RunTimeout {
			t.Errorf("took %v", took)
		}
	})
}

func TestACommandWhoseTimeIsOverIsNotSent(t *testing.T) {
	m := dialScript(t, func(p *peer) {
		p.greet()
		if req := p.receive(); req.Execute != "" {
			t.Errorf("got the request %+v", req)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, m.Stop(ctx), "", "qmp SOCKET: stop: context canceled", context.Canceled)
}

func TestARequestThatCannotBeSentEndsAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		awake := make(chan struct{})
		m, err := openScript(t.Context(), t, func(p *peer) {
			p.greet()
			<-awake
			p.send(`{"return": {}, "id": %d}`, p.receive().ID)
		})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 3 { // one writes, the others wait for their turn
			wg.Go(func() {
				wantError(t, m.Stop(within(t, time.Second)), "", "qmp SOCKET: stop: not sent: context deadline exceeded", context.DeadlineExceeded)
			})
		}
		wg.Wait()
		close(awake)
		if err := m.Cont(within(t, time.Second)); err != nil {
			t.Errorf("the next command: %v", err)
		}
	})
}

func TestARequestThatWasSentInPartEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := openScript(t.Context(), t, func(p *peer) {
			p.greet()
			io.CopyN(io.Discard, p.conn, 5)
			time.Sleep(time.Minute)
		})
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, m.Stop(within(t, time.Second)), "", "qmp SOCKET: stop: not sent: context deadline exceeded", context.DeadlineExceeded)
		wantError(t, m.Cont(within(t, time.Second)), "", "qmp SOCKET: cont: closed, because a request could not be sent to its end")
	})
}

func TestManyCommandsAtOnceEachGetTheirOwnReply(t *testing.T) {
	const n = 200
	m := dialScript(t, func(p *peer) {
		p.greet()
		var requests []sentRequest
		for range n {
			requests = append(requests, p.receive())
		}
		for i := range requests { // the last comes first
			req := requests[n-1-i]
			p.send(`{"event": "NOISE"} {"return": %s, "id": %d}`, req.Arguments, req.ID)
		}
	})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			out, err := m.With(generous(t)).Run(fmt.Appendf(nil, `{"execute": "echo", "arguments": {"n": %d}}`, i))
			var reply struct{ Return struct{ N int } }
			if err == nil {
				err = json.Unmarshal(out, &reply)
			}
			if err != nil || reply.Return.N != i {
				t.Errorf("command %d got %s, %v", i, out, err)
			}
		})
	}
	wg.Wait()
}

func TestASessionMayBeTornAtEveryByte(t *testing.T) {
	script := func(p *peer) {
		p.greet()
		req := p.receive()
		p.send(`{"event": "POWERDOWN", "timestamp": {"seconds": 1795438330, "microseconds": 355698}}` + "\r\n")
		p.send(`{"return": {"UUID": "é\u00e9"}, "id": %d}`+"\r\n", req.ID)
		p.send(`{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}` + "\r\n")
	}
	session := func(t *testing.T, split int) (length int) {
		synctest.Test(t, func(t *testing.T) {
			m, err := openScript(t.Context(), t, func(p *peer) {
				p.split = split
				script(p)
				length = p.sent
			})
			if err != nil {
				t.Fatalf("split at %d: %v", split, err)
			}
			if got, err := m.UUID(t.Context()); got != "éé" || err != nil {
				t.Errorf("split at %d: UUID %q, %v", split, got, err)
			}
			if got, err := m.WaitShutdown(t.Context()); got != "guest-shutdown" || err != nil {
				t.Errorf("split at %d: WaitShutdown %q, %v", split, got, err)
			}
			<-m.done
		})
		return length
	}
	for split, length := 1, session(t, 0); split < length; split++ {
		session(t, split)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
		m, err := openScript(t.Context(), t, func(p *peer) { p.greet(); p.silence() })
		if err != nil {
			t.Fatal(err)
		}
		events, _ := m.Events(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			wantError(t, m.Stop(t.Context()), "", "qmp SOCKET: stop: closed", ErrClosed)
		})
		wg.Go(func() {
			_, err := m.WaitShutdown(t.Context())
			wantError(t, err, "", "qmp SOCKET: wait for the shutdown: closed", ErrClosed)
		})
		synctest.Wait()
		for range 2 {
			if err := m.Disconnect(); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		if e, ok := <-events; ok {
			t.Errorf("an event out of nowhere: %v", e)
		}
		wantError(t, m.Quit(t.Context()), "", "qmp SOCKET: quit: closed", ErrClosed)
	})
}

func TestNoGoroutineOrFileIsLeft(t *testing.T) {
	files := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	round := func(t *testing.T) {
		for range 20 {
			m := dialScript(t, func(p *peer) { p.greet(); p.silence() })
			m.Events(t.Context())
			m.Close()
			_, err := Dial(generous(t), socket(t, func(p *peer) { p.send("junk") }))
			if err == nil {
				t.Error("no error from junk")
			}
		}
	}
	t.Run("first", round) // the runtime opens what it keeps
	goroutines, open := runtime.NumGoroutine(), files()
	t.Run("second", round)
	for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > goroutines && time.Now().Before(end); {
		runtime.Gosched() // an ended goroutine is counted until it is off its stack
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, were %d", n, goroutines)
	}
	if n := files(); n > open {
		t.Errorf("%d open files, were %d", n, open)
	}
}

func TestConnectErrors(t *testing.T) {
	dir := t.TempDir()
	_, err := Dial(generous(t), dir+"/none")
	wantError(t, err, dir+"/none", "qmp SOCKET: connect: no such file or directory", fs.ErrNotExist)
	wantGone(t, err, true)

	dead := socket(t, (*peer).silence)
	stale := dead + ".stale"
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	_, err = Dial(generous(t), stale)
	wantError(t, err, stale, "qmp SOCKET: connect: connection refused", syscall.ECONNREFUSED)
	wantGone(t, err, true)

	long := filepath.Join(dir, strings.Repeat("n", 200))
	_, err = Dial(generous(t), long+"/qmp.sock")
	wantError(t, err, long+"/qmp.sock", "qmp SOCKET: connect: no such file or directory", fs.ErrNotExist)
	_, err = Dial(generous(t), long)
	wantError(t, err, long, "qmp SOCKET: connect: a socket's name of 200 bytes: must be shorter")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Dial(ctx, dead)
	wantError(t, err, dead, "qmp SOCKET: connect: context canceled", context.Canceled)
	wantGone(t, err, false)
}

func wantGone(t *testing.T, err error, want bool) {
	t.Helper()
	if IsGone(err) != want {
		t.Errorf("IsGone(%v) is %v", err, !want)
	}
}

func TestAQueueThatIsFullOfClientsIsNoGreeting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "qmp.sock")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	first, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = Dial(ctx, path)
	wantError(t, err, path, "qmp SOCKET: connect: no greeting: another client holds the monitor, or QEMU is stopped: "+
		"context deadline exceeded", ErrNoGreeting)
}

func TestASocketPathMayBeLongerThanAnAddress(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 200), strings.Repeat("e", 200))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	l, err := net.Listen("unix", "qmp.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if conn, err := l.Accept(); err == nil {
			play(t, conn, func(p *peer) { p.greet(); p.silence() })
		}
	}()
	m, err := Dial(generous(t), filepath.Join(dir, "qmp.sock"))
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
}

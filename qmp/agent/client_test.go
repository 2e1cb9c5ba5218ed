package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// guest is the other end of the channel, as a test writes it.
type guest struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

type asked struct {
	Execute   string
	Arguments json.RawMessage
}

// receive reads one command; the zero value when the client has gone.
func (g *guest) receive() asked {
	line, err := g.r.ReadBytes('\n')
	if err != nil {
		return asked{}
	}
	var a asked
	if err := json.Unmarshal(bytes.TrimPrefix(line, []byte{0xff}), &a); err != nil {
		g.t.Errorf("%q: %v", line, err)
	}
	return a
}

func (g *guest) send(text string) { _, _ = io.WriteString(g.conn, text) } // a client that has gone says so itself

// greet answers the synchronisation, as an agent does.
func (g *guest) greet() {
	a := g.receive()
	if a.Execute != "guest-sync-delimited" {
		g.t.Errorf("the first command is %q", a.Execute)
	}
	g.send("\xff" + g.synced(a) + "\n")
}

func (g *guest) synced(a asked) string {
	var id struct{ ID json.Number }
	_ = json.Unmarshal(a.Arguments, &id)
	return fmt.Sprintf(`{"return": %s}`, id.ID)
}

// meet connects a client's end with a guest that plays its part and then goes.
func meet(t *testing.T, part func(*guest)) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer theirs.Close()
		part(&guest{t, theirs, bufio.NewReaderSize(theirs, 1<<20)})
	}()
	t.Cleanup(func() {
		_ = ours.Close()
		<-ended
	})
	return ours
}

func generous(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// answered opens a client and gives the agent one command, to which the guest sends a text.
func answered(t *testing.T, text string, give func(context.Context, *Client) error) error {
	t.Helper()
	conn := meet(t, func(g *guest) {
		g.greet()
		g.receive()
		g.send(text)
	})
	c, err := Open(generous(t), conn)
	if err != nil {
		t.Fatal(err)
	}
	return give(generous(t), c)
}

func TestOpenThrowsAwayWhatItDidNotAskFor(t *testing.T) {
	for name, before := range map[string]string{
		"nothing":              "",
		"an old answer":        `{"return": {"exited": false}}` + "\n",
		"half an old answer":   `{"return": {"exit`,
		"an old synch":         "\xff" + `{"return": 7}` + "\n",
		"many delimiters":      strings.Repeat("\xff\n", 1000),
		"a delimiter alone":    "\xff" + strings.Repeat("x", 100_000) + "\n",
		"a refusal":            "\xff" + `{"error": {"class": "GenericError", "desc": "no"}}` + "\n",
		"no UTF-8 and NULs":    "\x00\xfe\x80\x00\n",
		"escapes":              "\x1b]0;owned\x07\x1b[2J",
		"three old megabytes":  strings.Repeat(`{"return": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}`+"\n", 3<<20/64),
		"a number that is not": "\xff" + `{"return": 1e400}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn := meet(t, func(g *guest) {
				a := g.receive()
				g.send(before + "\xff" + g.synced(a) + "\n")
				g.receive()
				g.send(`{"return": []}` + "\n")
			})
			c, err := Open(generous(t), conn)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Interfaces(generous(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenEndsWhateverTheGuestDoes(t *testing.T) {
	endless := func(piece string) func(*guest) {
		return func(g *guest) {
			g.receive()
			for {
				if _, err := io.WriteString(g.conn, piece); err != nil {
					return
				}
			}
		}
	}
	for name, test := range map[string]struct {
		part func(*guest)
		want error
		text string
	}{
		"goes":                   {func(g *guest) { g.receive() }, ErrEnded, "the guest agent's channel ended: EOF"},
		"floods":                 {endless(strings.Repeat("x", 1<<20)), ErrNotAgent, "not a guest agent's answer: it sends other data and does not answer the synchronisation"},
		"floods with delimiters": {endless("\xff" + strings.Repeat("y", 1<<16) + "\n"), ErrNotAgent, "not a guest agent's answer: it sends other data and does not answer the synchronisation"},
		"a line without an end":  {endless("\xff" + strings.Repeat("z", 1<<21)), ErrNotAgent, "not a guest agent's answer: a line of more than 1024 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(generous(t), meet(t, test.part))
			if !errors.Is(err, test.want) || err.Error() != test.text {
				t.Errorf("%v, want %s", err, test.text)
			}
		})
	}
}

func TestNobodyThereIsToldAtTheDeadline(t *testing.T) {
	for name, part := range map[string]func(*guest){
		"reads and is silent": func(g *guest) { _, _ = io.Copy(io.Discard, g.conn) },
		"does not even read":  func(g *guest) { <-g.t.Context().Done() },
		"speaks of others": func(g *guest) {
			for g.receive().Execute != "" {
				g.send("\xff" + `{"return": 1}` + "\n")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := Open(ctx, meet(t, part))
			if !errors.Is(err, ErrSilent) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want ErrSilent at the deadline", err)
			}
		})
	}
}

// A host that is too busy to read all that is allowed must not call a flood silence.
func TestAFloodIsNoSilenceAtTheDeadline(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	conn := meet(t, func(g *guest) {
		g.receive()
		_, _ = io.WriteString(g.conn, strings.Repeat("x", maxReply+2<<16)) // all but one buffer of it has been read when this returns
		cancel(context.DeadlineExceeded)
		_, _ = io.Copy(io.Discard, g.conn)
	})
	if _, err := Open(expiring{ctx}, conn); !errors.Is(err, ErrNotAgent) || errors.Is(err, ErrSilent) {
		t.Errorf("%v, want %v", err, errOtherData)
	}
}

// expiring is a context whose deadline passes when it is cancelled.
type expiring struct{ context.Context }

func (e expiring) Err() error { return context.Cause(e.Context) }

func TestAnEndOfTheContextIsItsCause(t *testing.T) {
	because := errors.New("because")
	ctx, cancel := context.WithCancelCause(t.Context())
	conn := meet(t, func(g *guest) {
		g.receive()
		cancel(because)
		_, _ = io.Copy(io.Discard, g.conn)
	})
	if _, err := Open(ctx, conn); !errors.Is(err, because) {
		t.Errorf("%v, want the cause", err)
	}
}

func TestAHostileAnswerIsAnError(t *testing.T) {
	for text, want := range map[string]string{
		"garbage\n":                       "not a guest agent's answer: invalid character 'g' looking for beginning of value",
		"\n":                              "not a guest agent's answer: unexpected end of JSON input",
		"[]\n":                            "not a guest agent's answer: a JSON array",
		"{}\n":                            "not a guest agent's answer: neither a return nor an error",
		`{"return": null}` + "\n":         "",
		`{"return": {}}` + "\n":           "not a guest agent's answer: a JSON object",
		`{"return": [1]}` + "\n":          "not a guest agent's answer: a JSON number",
		`{"return": [], "return":` + "\n": "not a guest agent's answer: unexpected end of JSON input",
		"{\"return\": [\x00]}\n":          "not a guest agent's answer: invalid character '\\x00' looking for beginning of value",
		"\xff{\"return\": []}\n":          "not a guest agent's answer: invalid character 'ÿ' looking for beginning of value",
		`{"return": ` + strings.Repeat("[", 200_000) + "\n":                                          "not a guest agent's answer: invalid character '[' exceeded max depth",
		strings.Repeat("a", 2<<20) + "\n":                                                            "not a guest agent's answer: a line of more than 1024 KiB",
		`{"error": {"class": "C", "desc": "no"}}` + "\n":                                             "C: no",
		`{"error": {"class": "C", "desc": "` + strings.Repeat("é", 600) + `"}, "return": []}` + "\n": "C: " + strings.Repeat("é", 250) + "…",
	} {
		err := answered(t, text, func(ctx context.Context, c *Client) error {
			_, err := c.Interfaces(ctx)
			return err
		})
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && got != want {
			t.Errorf("%.60q: %s, want %s", text, got, want)
		}
	}
}

func TestInterfacesAreThoseWithAnAddressOfEthernet(t *testing.T) {
	var got []Interface
	err := answered(t, `{"return": [{"name": "lo", "ip-addresses": [{"ip-address-type": "ipv4", "ip-address": "127.0.0.1", "prefix": 8}], "hardware-address": "00:00:00:00:00:00"}, `+
		`{"name": "eth0\u001b[2J", "hardware-address": "52:54:00:53:52:B1", "ip-addresses": [{"ip-address": "192.168.122.62"}, {"ip-address": "fe80::1%eth0"}, {"ip-address": "\u001b[31m10.0.0.1"}, `+
		`{"ip-address": "::ffff:10.0.0.2"}, {"ip-address": "10.0.0.01"}, {"ip-address": ""}, {}]}, {"name": "ib0", "hardware-address": "80:00:00:00:fe:80:00:00:00:00:00:00:00:00:00:00:00:00:00:01"}, `+
		`{"name": "tun0"}]}`+"\r\n", interfaces(&got))
	want := []Interface{
		{MAC: net.HardwareAddr{0, 0, 0, 0, 0, 0}, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}},
		{MAC: net.HardwareAddr{0x52, 0x54, 0, 0x53, 0x52, 0xb1}, Addresses: []netip.Addr{netip.MustParseAddr("192.168.122.62"), netip.MustParseAddr("10.0.0.2")}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// interfaces asks for the interfaces and keeps them.
func interfaces(got *[]Interface) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) (err error) {
		*got, err = c.Interfaces(ctx)
		return err
	}
}

func TestShutdownHasNoAnswerButARefusal(t *testing.T) {
	shutdown := func(ctx context.Context, c *Client) error {
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		return c.Shutdown(ctx)
	}
	conn := meet(t, func(g *guest) {
		g.greet()
		a := g.receive()
		if a.Execute != "guest-shutdown" || string(a.Arguments) != `{"mode":"powerdown"}` {
			t.Errorf("%+v", a)
		}
		_, _ = io.Copy(io.Discard, g.conn)
	})
	c, err := Open(generous(t), conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := shutdown(generous(t), c); err != nil {
		t.Error(err)
	}
	if err := answered(t, "", shutdown); err != nil {
		t.Errorf("the guest goes: %v", err)
	}
	err = answered(t, `{"error": {"class": "CommandNotFound", "desc": "Command guest-shutdown has been disabled"}}`+"\n", shutdown)
	if refused, ok := errors.AsType[*Error](err); !ok || refused.Command != "guest-shutdown" || err.Error() != "CommandNotFound: Command guest-shutdown has been disabled" {
		t.Errorf("%v", err)
	}
}

func TestAProgramIsStartedAndAskedAfter(t *testing.T) {
	conn := meet(t, func(g *guest) {
		g.greet()
		for _, want := range []struct{ command, arguments, answer string }{
			{"guest-exec", `{"path":"cat","arg":["a b","-n"],"input-data":"aGkK","capture-output":true}`, `{"return": {"pid": 42}}`},
			{"guest-exec-status", `{"pid":42}`, `{"return": {"exited": false}}`},
			{"guest-exec-status", `{"pid":42}`, `{"return": {"exited": true, "exitcode": 3, "out-data": "aGkK", "err-data": "/w==", "err-truncated": true}}`},
			{"guest-exec", `{"path":"sleep","capture-output":true}`, `{"return": {"pid": 43}}`},
			{"guest-exec-status", `{"pid":43}`, `{"return": {"exited": true, "signal": 9}}`},
		} {
			if a := g.receive(); a.Execute != want.command || string(a.Arguments) != want.arguments {
				t.Errorf("%s %s, want %+v", a.Execute, a.Arguments, want)
			}
			g.send(want.answer + "\n")
		}
	})
	ctx := generous(t)
	c, err := Open(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := c.Start(ctx, Program{Path: "cat", Args: []string{"a b", "-n"}, Input: []byte("hi\n")})
	if pid != 42 || err != nil {
		t.Fatal(pid, err)
	}
	for _, want := range []Exit{{}, {Done: true, Code: 3, Stdout: []byte("hi\n"), Stderr: []byte{0xff}, StderrCut: true}} {
		got, err := c.Exit(ctx, pid)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Error(err, diff)
		}
	}
	if pid, err = c.Start(ctx, Program{Path: "sleep"}); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Exit(ctx, pid); got.Signal != 9 || !got.Done || err != nil {
		t.Error(got, err)
	}
	if _, err := c.Start(ctx, Program{Path: "a\xff"}); err == nil || err.Error() != "a word that is not UTF-8" {
		t.Error(err)
	}
}

func TestAnImpossibleExitIsAnError(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:               "not a guest agent's answer: a program that neither runs nor has ended",
		`{"exited": true}`: "not a guest agent's answer: a program that has ended without a code and without a signal",
		`{"exited": 1}`:    "not a guest agent's answer: exited is a JSON number",
		`{"exited": true, "exitcode": 99999999999999999999}`:        "not a guest agent's answer: exitcode is a JSON number 99999999999999999999",
		`{"exited": true, "exitcode": 0, "out-data": "not base64"}`: "not a guest agent's answer: illegal base64 data at input byte 3",
		`{"exited": true, "signal": -9}`:                            "not a guest agent's answer: a program that has ended without a code and without a signal",
	} {
		err := answered(t, `{"return": `+text+"}\n", func(ctx context.Context, c *Client) error {
			_, err := c.Exit(ctx, 1)
			return err
		})
		if fmt.Sprint(err) != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

package fakeqemu

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// fakeAgent is the guest agent behind a fake QEMU with the manner "agent", and
// with others a program in the guest that pretends to be one. What it is told to run it does not run.
type fakeAgent struct{ q *fake }

func (a *fakeAgent) answer() {
	l, err := net.FileListener(os.NewFile(socketFD("qga"), "qga"))
	fail(err)
	for {
		conn, err := l.Accept()
		fail(err)
		a.serve(conn)
	}
}

type agentCommand struct {
	Execute   string
	Arguments struct {
		ID    json.Number
		PID   int
		Path  string
		Arg   []string
		Input []byte `json:"input-data"`
	}
}

func (a *fakeAgent) serve(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewReaderSize(conn, 1<<16)
	asked := 0
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var c agentCommand
		fail(json.Unmarshal(bytes.TrimPrefix(line, []byte{0xff}), &c))
		switch {
		case a.q.has("agent-is-mute"):
		case a.q.has("agent-floods"):
			for err == nil {
				_, err = io.WriteString(conn, strings.Repeat("\x1b]0;owned\a", 1<<16))
			}
			return
		case c.Execute == "guest-sync-delimited":
			fmt.Fprintf(conn, "\xff{\"return\": %s}\n", c.Arguments.ID)
		case c.Execute == "guest-exec-status" && asked == 0 && c.Arguments.PID != sleeps:
			asked++
			fmt.Fprintln(conn, `{"return": {"exited": false}}`)
		default:
			a.reply(conn, c)
		}
	}
}

// The numbers of the programs that the fake agent knows; others are exit codes.
const (
	sleeps = 1000 + iota
	isKilled
	printsMuch
	printsEscapes
	isWindows
	echoesInput
)

func (a *fakeAgent) reply(w io.Writer, c agentCommand) {
	b64 := base64.StdEncoding.EncodeToString
	switch {
	case c.Execute == "guest-shutdown" && a.q.has("agent-shuts-down"):
		a.q.end()
	case c.Execute == "guest-shutdown" && a.q.has("agent-refuses"), c.Execute == "guest-exec" && c.Arguments.Path == "nosuch":
		fmt.Fprintln(w, `{"error": {"class": "GenericError\u001b[2J", "desc": "no\u001b]0;owned\u0007 \u202eway"}}`)
	case c.Execute == "guest-exec" && c.Arguments.Path == "missing":
		fmt.Fprintln(w, `{"error": {"class": "GenericError", "desc": "Guest command execution failed: Failed to execute child process (No such file or directory)"}}`)
	case c.Execute == "guest-shutdown":
	case c.Execute == "guest-exec":
		fmt.Fprintf(w, `{"return": {"pid": %d}}`+"\n", a.start(c))
	case c.Execute != "guest-exec-status":
		fmt.Fprintln(w, `{"return": []}`)
	case c.Arguments.PID == sleeps:
		_ = os.WriteFile(filepath.Join(filepath.Dir(a.q.pidfile.Name()), "asked"), nil, 0o600)
		fmt.Fprintln(w, `{"return": {"exited": false}}`)
	case c.Arguments.PID == isKilled:
		fmt.Fprintln(w, `{"return": {"exited": true, "signal": 9}}`)
	case c.Arguments.PID == printsMuch:
		fmt.Fprintf(w, `{"return": {"exited": true, "exitcode": 0, "out-truncated": true, "out-data": %q}}`+"\n", b64(bytes.Repeat([]byte("0123456789abcde\n"), 1<<20)))
	case c.Arguments.PID == printsEscapes:
		fmt.Fprintf(w, `{"return": {"exited": true, "exitcode": 0, "out-data": %q, "err-data": %q}}`+"\n", b64([]byte("out\x1b[2J\xff\r\n")), b64([]byte("err\x1b]0;owned\a")))
	case c.Arguments.PID == isWindows:
		fmt.Fprintln(w, `{"return": {"exited": true, "exitcode": 3221225477}}`)
	case c.Arguments.PID == echoesInput:
		input, _ := os.ReadFile(a.input())
		fmt.Fprintf(w, `{"return": {"exited": true, "exitcode": 0, "out-data": %q}}`+"\n", b64(input))
	default:
		fmt.Fprintf(w, `{"return": {"exited": true, "exitcode": %d, "out-data": "b3V0Cg==", "err-data": "ZXJyCg=="}}`+"\n", c.Arguments.PID)
	}
}

func (a *fakeAgent) input() string { return a.q.pidfile.Name() + ".input" }

// start gives the number of what is to be run.
func (a *fakeAgent) start(c agentCommand) int {
	fail(os.WriteFile(a.input(), c.Arguments.Input, 0o600))
	if c.Arguments.Path == "exit" {
		code, err := strconv.Atoi(c.Arguments.Arg[0])
		fail(err)
		return code
	}
	return map[string]int{"sleep": sleeps, "killed": isKilled, "much": printsMuch, "escapes": printsEscapes, "windows": isWindows, "cat": echoesInput}[c.Arguments.Path]
}

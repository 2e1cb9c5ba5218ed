package agent

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"
)

// MaxInput is the maximal size of a program's standard input, in bytes.
const MaxInput = 16 << 20

// Program says what to run in the guest.
type Program struct {
	Path  string // a path, or a name that is searched for on the agent's PATH
	Args  []string
	Input []byte // its standard input, at most MaxInput bytes
}

// Exit is the state of a program.
type Exit struct {
	Done   bool // it has ended; if false, the other fields are empty
	Code   int  // its exit code
	Signal int  // the signal that ended it, on Unix; 0 if none

	Stdout, Stderr       []byte
	StdoutCut, StderrCut bool // the agent kept only the beginning
}

// Start runs a program in the guest (guest-exec) and returns its process ID in the guest.
func (c *Client) Start(ctx context.Context, p Program) (pid int64, err error) {
	if slices.ContainsFunc(append([]string{p.Path}, p.Args...), func(word string) bool { return !utf8.ValidString(word) }) {
		return 0, errors.New("a word that is not UTF-8") // JSON cannot represent it
	}
	arguments := struct {
		Path    string   `json:"path"`
		Args    []string `json:"arg,omitempty"`
		Input   []byte   `json:"input-data,omitempty"` // encoding/json writes it as base64
		Capture bool     `json:"capture-output"`
	}{p.Path, p.Args, p.Input, true}
	reply, err := c.run(ctx, "guest-exec", arguments, maxReply)
	if err != nil {
		return 0, err
	}
	return parsePID(reply)
}

func parsePID(reply json.RawMessage) (int64, error) {
	var started struct {
		PID *int64 `json:"pid"`
	}
	if err := parseReturn(reply, &started); err != nil {
		return 0, err
	}
	if started.PID == nil {
		return 0, notAgent("a program without a number")
	}
	return *started.PID, nil
}

// Exit returns the state of a program (guest-exec-status). The agent reports the end of a program only once.
func (c *Client) Exit(ctx context.Context, pid int64) (Exit, error) {
	reply, err := c.run(ctx, "guest-exec-status", map[string]int64{"pid": pid}, maxOutputReply)
	if err != nil {
		return Exit{}, err
	}
	return parseExit(reply)
}

func parseExit(reply json.RawMessage) (Exit, error) {
	var report struct {
		Exited    *bool  `json:"exited"`
		Code      *int   `json:"exitcode"`
		Signal    int    `json:"signal"`
		Stdout    []byte `json:"out-data"`
		Stderr    []byte `json:"err-data"`
		StdoutCut bool   `json:"out-truncated"`
		StderrCut bool   `json:"err-truncated"`
	}
	switch err := parseReturn(reply, &report); {
	case err != nil:
		return Exit{}, err
	case report.Exited == nil:
		return Exit{}, notAgent("a program that neither runs nor has ended")
	case !*report.Exited:
		return Exit{}, nil
	case report.Code == nil && report.Signal <= 0:
		return Exit{}, notAgent("a program that has ended without a code and without a signal")
	}
	e := Exit{Done: true, Signal: report.Signal, Stdout: report.Stdout, Stderr: report.Stderr, StdoutCut: report.StdoutCut, StderrCut: report.StderrCut}
	if report.Code != nil {
		e.Code = *report.Code
	}
	return e, nil
}

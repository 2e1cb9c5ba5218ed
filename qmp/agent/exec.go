package agent

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"
)

// MaxInput is the most that a program can be given on its standard input, in bytes.
const MaxInput = 16 << 20

// Program is what to run in the guest.
type Program struct {
	Path  string // a path, or a name that the agent's PATH has
	Args  []string
	Input []byte // its standard input, of at most MaxInput
}

// Exit is what became of a program.
type Exit struct {
	Done   bool // it has ended: without it the rest is empty
	Code   int  // its exit code
	Signal int  // the signal that ended it, on Unix; 0: none

	Stdout, Stderr       []byte
	StdoutCut, StderrCut bool // the agent kept no more than the beginning
}

// Start runs a program in the guest (guest-exec) and gives the agent's number for it.
func (c *Client) Start(ctx context.Context, p Program) (pid int64, err error) {
	if slices.ContainsFunc(append([]string{p.Path}, p.Args...), func(word string) bool { return !utf8.ValidString(word) }) {
		return 0, errors.New("a word that is not UTF-8") // which JSON cannot hold
	}
	arguments := struct {
		Path    string   `json:"path"`
		Args    []string `json:"arg,omitempty"`
		Input   []byte   `json:"input-data,omitempty"` // in base64, as encoding/json has bytes
		Capture bool     `json:"capture-output"`
	}{p.Path, p.Args, p.Input, true}
	answer, err := c.run(ctx, "guest-exec", arguments, mostAnswer)
	if err != nil {
		return 0, err
	}
	return parsePID(answer)
}

func parsePID(answer json.RawMessage) (int64, error) {
	var started struct {
		PID *int64 `json:"pid"`
	}
	if err := parseReturn(answer, &started); err != nil {
		return 0, err
	}
	if started.PID == nil {
		return 0, notAgent("a program without a number")
	}
	return *started.PID, nil
}

// Exit asks what became of a program (guest-exec-status). Of one that has
// ended the agent tells once, and forgets it.
func (c *Client) Exit(ctx context.Context, pid int64) (Exit, error) {
	answer, err := c.run(ctx, "guest-exec-status", map[string]int64{"pid": pid}, mostOutput)
	if err != nil {
		return Exit{}, err
	}
	return parseExit(answer)
}

func parseExit(answer json.RawMessage) (Exit, error) {
	var told struct {
		Exited    *bool  `json:"exited"`
		Code      *int   `json:"exitcode"`
		Signal    int    `json:"signal"`
		Stdout    []byte `json:"out-data"`
		Stderr    []byte `json:"err-data"`
		StdoutCut bool   `json:"out-truncated"`
		StderrCut bool   `json:"err-truncated"`
	}
	switch err := parseReturn(answer, &told); {
	case err != nil:
		return Exit{}, err
	case told.Exited == nil:
		return Exit{}, notAgent("a program that neither runs nor has ended")
	case !*told.Exited:
		return Exit{}, nil
	case told.Code == nil && told.Signal <= 0:
		return Exit{}, notAgent("a program that has ended without a code and without a signal")
	}
	e := Exit{Done: true, Signal: told.Signal, Stdout: told.Stdout, Stderr: told.Stderr, StdoutCut: told.StdoutCut, StderrCut: told.StderrCut}
	if told.Code != nil {
		e.Code = *told.Code
	}
	return e, nil
}

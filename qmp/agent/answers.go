package agent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

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

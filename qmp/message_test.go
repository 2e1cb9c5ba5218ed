package qmp

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// decodeAll is what a stream says, message by message, to its end.
func decodeAll(dec *decoder) (messages []string, end error) {
	for {
		msg, err := dec.next()
		if err != nil {
			return messages, err
		}
		messages = append(messages, string(msg.raw))
	}
}

func TestAMessageMayBeAsLargeAsTheBoundWhateverCameBefore(t *testing.T) {
	frame := `{"event": "` + `"}`
	largest := `{"event": "` + strings.Repeat("x", maxMessage-len(frame)) + `"}`
	stream := strings.Repeat(largest, 3)
	messages, err := decodeAll(newDecoder(strings.NewReader(stream)))
	if diff := cmp.Diff([]string{largest, largest, largest}, messages); diff != "" {
		t.Errorf("%d messages", len(messages))
	}
	wantError(t, err, "", "connection ended", ErrEnded)
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte(greeting + `{"return": {}, "id": 1}` + "\r\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, end := decodeAll(newDecoder(bytes.NewReader(stream)))
		torn, tornEnd := decodeAll(newDecoder(iotest.OneByteReader(bytes.NewReader(stream))))
		if diff := cmp.Diff(whole, torn); diff != "" {
			t.Errorf("whole and byte by byte differ: %s", diff)
		}
		if end.Error() != tornEnd.Error() {
			t.Errorf("whole ends with %q, byte by byte with %q", end, tornEnd)
		}
	})
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"execute": "stop", "arguments": {"a": [1, "<"]}, "id": "mine"}`))
	f.Fuzz(func(t *testing.T, command []byte) {
		req, err := parseRequest(command)
		if err != nil {
			return
		}
		line := req.encode(7)
		if bytes.Count(line, []byte("\n")) != 1 || !bytes.Contains(line, []byte(`"id":7`)) {
			t.Errorf("%q became %q", command, line)
		}
	})
}

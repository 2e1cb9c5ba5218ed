package qmp

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

func TestPrintableLeavesWordsAndSpellsControls(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"Device 'net0' not found", "Device 'net0' not found"},
		{`C:\n é 日本`, `C:\n é 日本`},
		{"a\nb\tc\x00\x1b[0m\x7f\u009b", `a\nb\tc\x00\x1b[0m\x7f\u009b`},
		{"\u202eabc\u2066\u200b\ufeff\u2028", `\u202eabc\u2066\u200b\ufeff\u2028`},
		{"\xff", "\ufffd"},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, printable(tt.in)); diff != "" {
			t.Errorf("%q: %s", tt.in, diff)
		}
	}
}

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
		if i := strings.IndexFunc(end.Error(), unicode.IsControl); i >= 0 {
			t.Errorf("a control character in %q", end)
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

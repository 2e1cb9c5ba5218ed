package agent

import (
	"bufio"
	"bytes"
	"testing"
)

// FuzzAnswers reads what a guest may send, as each of the answers that are asked for.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte("\xff{\"return\": 7}\n{\"return\": []}\n"))
	f.Add([]byte(`{"return": [{"name": "eth0", "hardware-address": "52:54:00:53:52:b1", "ip-addresses": [{"ip-address": "192.168.122.62", "prefix": 24}]}]}` + "\n"))
	f.Add([]byte(`{"return": {"exited": true, "exitcode": 1, "out-data": "aGkK", "err-truncated": true}}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := replies{bufio.NewReader(bytes.NewReader(data))}
		if a.sync(7) == nil && !bytes.Contains(data, []byte{delimiter}) {
			t.Error("synchronised without a delimiter")
		}
		a = replies{bufio.NewReader(bytes.NewReader(data))}
		for {
			line, err := a.line(maxReply)
			if err != nil {
				return
			}
			check(t, line)
		}
	})
}

// check holds what is true of every reply that is taken.
func check(t *testing.T, line []byte) {
	t.Helper()
	reply, err := parseReply(line)
	if err != nil {
		if reply != nil || len(err.Error()) > 5000 {
			t.Errorf("%q: %q, %.200v", line, reply, err)
		}
		return
	}
	if interfaces, err := parseInterfaces(reply); err == nil {
		for _, i := range interfaces {
			for _, ip := range i.Addresses {
				if len(i.MAC) != 6 || !ip.IsValid() || ip.Zone() != "" {
					t.Errorf("%q: %v", line, i)
				}
			}
		}
	}
	if e, err := parseExit(reply); err == nil && !e.Done && (e.Code != 0 || len(e.Stdout)+len(e.Stderr) > 0) {
		t.Errorf("%q: %+v", line, e)
	}
	_, _ = parsePID(reply)
}

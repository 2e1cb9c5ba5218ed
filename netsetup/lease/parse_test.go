package lease

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEachParserReadsWhatItsServerWrites(t *testing.T) {
	tests := []struct {
		file  string
		parse func([]byte) (parsed, error)
		want  string
	}{
		{"dnsmasq/dnsmasq-2.90.leases", parseDnsmasq, `
52:54:00:53:52:b2 192.168.122.63 web-1 2026-11-23T14:08:03Z
52:54:00:aa:aa:cc 192.168.122.46 - 2026-11-23T14:08:03Z
52:54:00:aa:aa:bb 192.168.122.29 - 2026-11-23T14:08:03Z
52:54:00:aa:aa:aa 192.168.122.12 forever never
52:54:00:53:52:b1 192.168.122.62 guestvm 2026-11-23T14:08:02Z
52:54:00:53:52:b2 fd00:122::6c web-1 2026-11-23T14:08:07Z
52:54:00:53:52:b1 fd00:122::45 guestvm 2026-11-23T14:08:05Z
skipped 0
`},
		{"dnsmasq/junk.leases", parseDnsmasq, `
52:54:00:53:52:b1 192.168.122.62 guestvm 2026-11-23T14:08:02Z
- 192.168.122.67 wireless 2026-11-23T14:08:02Z
- fd00:122::46 - 2026-11-23T14:08:05Z
skipped 11, torn
`},
		{"libvirt/virbr0.status", parseLibvirt, `
52:54:00:53:52:b1 192.168.122.62 guestvm 2026-11-23T11:52:26Z
52:54:00:aa:aa:aa 192.168.122.12 - never
52:54:00:53:52:b1 fd00:122::45 guestvm 2026-11-23T11:52:27Z
skipped 0
`},
		{"libvirt/junk.status", parseLibvirt, `
52:54:00:53:52:b1 192.168.122.65 ` + "\x1b[" + `31mevil 2026-11-23T11:52:26Z
skipped 4
`},
		{"networkd/systemd-257", parseNetworkd, `
52:54:00:53:52:b1 192.168.122.62 guestvm 2026-11-23T11:52:26Z
52:54:00:53:52:b2 192.168.122.63 - never
skipped 0
`},
		{"networkd/systemd-256", parseNetworkd, `
52:54:00:53:52:b1 192.168.122.62 guestvm 2026-11-23T11:52:26Z
- 192.168.122.63 - 2026-11-23T11:52:27Z
skipped 0
`},
		{"networkd/list", parseNetworkd, `
52:54:00:53:52:b1 192.168.122.62 - never
skipped 0
`},
		{"networkd/junk", parseNetworkd, `
52:54:00:53:52:b1 192.168.122.62 a` + "\a" + `b never
skipped 4
`},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("testdata", test.file))
			if err != nil {
				t.Fatal(err)
			}
			p, err := test.parse(data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), show(p)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// show writes what was parsed a lease a line.
func show(p parsed) string {
	var b strings.Builder
	for _, l := range p.leases {
		mac, name, end := l.mac.String(), l.hostname, "never"
		if mac == "" {
			mac = "-"
		}
		if name == "" {
			name = "-"
		}
		if !l.expiry.IsZero() {
			end = l.expiry.UTC().Format(time.RFC3339)
		}
		fmt.Fprintln(&b, mac, l.ip, name, end)
	}
	fmt.Fprintf(&b, "skipped %d", p.skipped)
	if p.incomplete {
		b.WriteString(", torn")
	}
	b.WriteString("\n")
	return b.String()
}

func TestWhatIsNotJSONIsRefusedWithItsReason(t *testing.T) {
	tests := []struct {
		name  string
		parse func([]byte) (parsed, error)
		data  string
		want  string
	}{
		{"libvirt's file cut short", parseLibvirt, `[ {"ip-address": "192.168.122.6`, "not a JSON list: unexpected end of JSON input"},
		{"libvirt's file is an object", parseLibvirt, `{}`,
			"not a JSON list: json: cannot unmarshal object into Go value of type []json.RawMessage"},
		{"networkd's file cut short", parseNetworkd, `{"Leases":[`, "not networkd's JSON: unexpected end of JSON input"},
		{"networkd's file is empty", parseNetworkd, ``, "not networkd's JSON: unexpected end of JSON input"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := test.parse([]byte(test.data))
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v, want %s", err, test.want)
			}
			if !p.incomplete {
				t.Error("not counted as torn")
			}
		})
	}
}

func TestAnEmptyFileOfLibvirtHoldsNoLeases(t *testing.T) {
	p, err := parseLibvirt(nil)
	if err != nil || len(p.leases) != 0 || p.incomplete {
		t.Errorf("%v, %v", p, err)
	}
}

// A lease that the server has not given anew keeps its stamp, and one that it has given anew does not.
func TestTheStampOfANetworkdLeaseIsNotTheDriftingClock(t *testing.T) {
	parse := func(boot, wall int) string {
		p, err := parseNetworkd(fmt.Appendf(nil,
			`{"Leases":[{"Address":[10,0,0,2],"ExpirationUSec":%d,"ExpirationRealtimeUSec":%d}]}`, boot, wall))
		if err != nil || len(p.leases) != 1 {
			t.Fatal(p, err)
		}
		return p.leases[0].issue
	}
	if parse(100, 5_000_000) != parse(100, 5_000_007) {
		t.Error("the wall clock's drift makes a new lease")
	}
	if parse(100, 5_000_000) == parse(200, 5_000_000) {
		t.Error("a renewal makes no new lease")
	}
}

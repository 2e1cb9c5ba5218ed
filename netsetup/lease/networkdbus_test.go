package lease

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// busLeases reads what `busctl --json=short get-property` prints of networkd's leases: a lease is a list.
func busLeases(data []byte) ([]busLease, error) {
	var answer struct {
		Data [][6]json.RawMessage
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, err
	}
	var leases []busLease
	for _, e := range answer.Data {
		var l busLease
		texts := make([][]uint8Number, 4)
		errs := []error{json.Unmarshal(e[0], &l.Family), json.Unmarshal(e[5], &l.Expiry)}
		for i := range texts {
			errs = append(errs, json.Unmarshal(e[i+1], &texts[i]))
		}
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		l.ClientID, l.Address, l.Gateway, l.Hardware = byteString(texts[0]), byteString(texts[1]), byteString(texts[2]), byteString(texts[3])
		leases = append(leases, l)
	}
	return leases, nil
}

func TestNetworkdsAnswerIsReadAsItTellsIt(t *testing.T) {
	for file, want := range map[string]string{
		"systemd-252.json": "52:54:00:53:52:b1 192.168.55.199 12:59:50.468334 7541468334",
		"systemd-257.json": "52:54:00:53:52:b1 192.168.55.199 13:05:32.101762 7883101762",
	} {
		data, err := os.ReadFile(filepath.Join("testdata/networkdbus", file))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := busLeases(data)
		if err != nil {
			t.Fatal(err)
		}
		p := parseBusLeases(answer, noon, 3951*time.Second)
		l := p.leases[0]
		got := strings.Join([]string{l.mac.String(), l.ip.String(), l.expiry.UTC().Format("15:04:05.999999"), l.issue}, " ")
		if diff := cmp.Diff(want, got); diff != "" || len(p.leases) != 1 || p.skipped != 0 {
			t.Errorf("%s: %s", file, diff)
		}
	}
}

func TestWhatNetworkdMayTellOfAClient(t *testing.T) {
	mac := []byte{0x52, 0x54, 0, 0x53, 0x52, 0xb1}
	padded := append(mac[:6:6], make([]byte, 10)...)
	for _, test := range []struct {
		name string
		l    busLease
		want string
	}{
		{"padded", busLease{Hardware: padded}, "52:54:00:53:52:b1"},
		{"bare", busLease{Hardware: mac}, "52:54:00:53:52:b1"},
		{"longer than Ethernet's", busLease{Hardware: append(mac[:6:6], 1)}, ""},
		{"the client id alone", busLease{ClientID: append([]byte{1}, mac...)}, "52:54:00:53:52:b1"},
		{"a DUID", busLease{ClientID: append([]byte{255}, mac...)}, ""},
		{"nothing", busLease{}, ""},
	} {
		if got := test.l.mac().String(); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	p := parseBusLeases([]busLease{
		{Family: 2, Address: []byte{10, 0, 0, 9}, Expiry: math.MaxUint64}, {Family: 10, Address: make([]byte, 16)}, {Family: 2, Address: []byte{10}},
	}, noon, time.Hour)
	if len(p.leases) != 1 || !p.leases[0].expiry.IsZero() || p.skipped != 2 {
		t.Errorf("%+v", p)
	}
	if many := parseBusLeases(make([]busLease, mostBusLeases+5), noon, 0); many.skipped != mostBusLeases+5 {
		t.Errorf("%d are skipped", many.skipped)
	}
}

func TestALinksObjectHasItsIndexEscaped(t *testing.T) {
	for index, want := range map[int]string{3: "_33", 12: "_312", 104: "_3104"} {
		if got := string(linkPath(index)); got != "/org/freedesktop/network1/link/"+want {
			t.Errorf("%d: %s", index, got)
		}
	}
}

// busHost is a host whose system bus is a socket that accepts and says nothing; it tells how many have come.
func busHost(t *testing.T) (root string, came func() int) {
	t.Helper()
	root = t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "run/dbus"), 0o755); err != nil {
		t.Fatal(err)
	}
	bus, err := net.Listen("unix", filepath.Join(root, "run/dbus/system_bus_socket"))
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 16)
	go func() { // ends with the listener
		defer close(conns)
		for {
			conn, err := bus.Accept()
			if err != nil {
				return
			}
			conns <- conn
		}
	}()
	return root, func() int {
		_ = bus.Close()
		n := 0
		for conn := range conns {
			_ = conn.Close()
			n++
		}
		return n
	}
}

func manage(t *testing.T, root string, text string) {
	t.Helper()
	put(t, Query{Root: root}, "run/systemd/netif/links/7", text)
}

const managedLink = "# This is private data. Do not parse.\nADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/10-br5.network\n"

func TestTheBusIsLeftAloneWhereNetworkdDoesNotManageTheBridge(t *testing.T) {
	root, came := busHost(t)
	manage(t, root, "# This is private data. Do not parse.\nADMIN_STATE=unmanaged\n")
	for _, l := range []link{{index: 7, name: "br5"}, {index: 8, name: "br6"}, {name: "br7"}} {
		if r := askNetworkd(t.Context(), root, l, nil); !errors.Is(r.err, fs.ErrNotExist) {
			t.Errorf("%s: %v", l.name, r.err)
		}
		watchNetworkd(root, l).close()
	}
	manage(t, root, managedLink)
	read := []reading{{file: file{source: Networkd}}}
	if r := askNetworkd(t.Context(), root, link{index: 7, name: "br5"}, read); !errors.Is(r.err, errInFile) {
		t.Error(r.err)
	}
	if n := came(); n != 0 {
		t.Errorf("it was connected to %d times", n)
	}
}

func TestABusThatDoesNotAnswerHoldsNobodyUp(t *testing.T) {
	root, came := busHost(t)
	manage(t, root, managedLink)
	begun := time.Now()
	r := askNetworkd(t.Context(), root, link{index: 7, name: "br5"}, nil)
	if r.err == nil || errors.Is(r.err, fs.ErrNotExist) {
		t.Errorf("it is not said: %v", r.err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := askNetworkd(ctx, root, link{index: 7, name: "br5"}, nil); r.err == nil {
		t.Error("the end of the context is no error")
	}
	if w := watchNetworkd(root, link{index: 7, name: "br5"}); w.changes != nil {
		t.Error("changes are heard of")
	}
	if took := time.Since(begun); took < busDeadline || took > patience/2 {
		t.Errorf("it took %v", took)
	}
	if came() < 2 {
		t.Error("nobody came")
	}
}

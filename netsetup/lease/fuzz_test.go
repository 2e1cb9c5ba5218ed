package lease

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// samples are the files of a producer's: the seeds, besides the corpus in testdata/fuzz.
func samples(f *testing.F, dir string) [][]byte {
	f.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", dir, "*"))
	if err != nil || len(names) == 0 {
		f.Fatal("no samples in", dir, err)
	}
	var all [][]byte
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, data)
	}
	return all
}

// sound holds what the rest of the package counts on.
func sound(t *testing.T, p parsed) {
	t.Helper()
	for _, l := range p.leases {
		if !l.ip.IsValid() || l.ip.Zone() != "" || l.ip.Is4In6() {
			t.Errorf("address %v", l.ip)
		}
		if len(l.mac) != 0 && len(l.mac) != 6 {
			t.Errorf("MAC %v", l.mac)
		}
		if len(l.hostname) > 253 {
			t.Errorf("a host name of %d bytes", len(l.hostname))
		}
		if l.issue == "" {
			t.Error("no stamp")
		}
	}
}

// A file that is being written holds some first bytes of what it will hold. None of them may read as a lease that the
// whole does not have.
func FuzzDnsmasq(f *testing.F) {
	for _, data := range samples(f, "dnsmasq") {
		f.Add(data, 0)
		f.Add(data, len(data)-7)
	}
	f.Fuzz(func(t *testing.T, data []byte, written int) {
		whole, err := parseDnsmasq(data)
		if err != nil {
			t.Fatal(err)
		}
		sound(t, whole)
		part, err := parseDnsmasq(data[:max(0, min(written, len(data)))])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(show(parsed{leases: whole.leases[:len(part.leases)]}), show(parsed{leases: part.leases})); diff != "" {
			t.Errorf("the first %d bytes: %s", written, diff)
		}
	})
}

func FuzzLibvirt(f *testing.F) {
	for _, data := range samples(f, "libvirt") {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := parseLibvirt(data); err == nil {
			sound(t, p)
		}
	})
}

func FuzzNetworkd(f *testing.F) {
	for _, data := range samples(f, "networkd") {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := parseNetworkd(data); err == nil {
			sound(t, p)
		}
	})
}

func FuzzNetworkdBus(f *testing.F) {
	for _, data := range samples(f, "networkdbus") {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		answer, err := busLeases(data)
		if err != nil {
			return
		}
		p := parseBusLeases(answer, noon, time.Hour)
		sound(t, p)
		if len(p.leases)+p.skipped != len(answer) {
			t.Errorf("%d leases and %d skipped of %d", len(p.leases), p.skipped, len(answer))
		}
	})
}

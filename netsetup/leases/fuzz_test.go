package leases

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// seed adds the samples, besides the corpus in testdata/fuzz.
func seed(f *testing.F, dir string) {
	f.Helper()
	samples, err := filepath.Glob(filepath.Join("testdata", dir, "*"))
	if err != nil || len(samples) == 0 {
		f.Fatal("no samples in", dir, err)
	}
	for _, name := range samples {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}

var harmless = regexp.MustCompile(`^[A-Za-z0-9_.?-]{0,253}$`)

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
		if !harmless.MatchString(l.hostname) {
			t.Errorf("host name %q", l.hostname)
		}
		if l.issue == "" {
			t.Error("no stamp")
		}
	}
}

// A file that is being written holds some first bytes of what it will hold. None of them may read as a lease that the
// whole does not have.
func FuzzDnsmasq(f *testing.F) {
	seed(f, "dnsmasq")
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, err := parseDnsmasq(data)
		if err != nil {
			t.Fatal(err)
		}
		sound(t, whole)
		for n := range min(len(data), 200) {
			part, err := parseDnsmasq(data[:len(data)-n])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(show(parsed{leases: whole.leases[:len(part.leases)]}), show(parsed{leases: part.leases}), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("the first %d bytes: %s", len(data)-n, diff)
			}
		}
	})
}

func FuzzLibvirt(f *testing.F) {
	seed(f, "libvirt")
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := parseLibvirt(data); err == nil {
			sound(t, p)
		}
	})
}

func FuzzNetworkd(f *testing.F) {
	seed(f, "networkd")
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := parseNetworkd(data); err == nil {
			sound(t, p)
		}
	})
}

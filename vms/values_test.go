package vms

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestASizeIsReadAndWritten(t *testing.T) {
	for _, test := range []struct {
		text string
		want Size
		back string
	}{
		{"1B", 1, "1B"},
		{"1024B", 1024, "1KiB"},
		{"2GiB", 2 << 30, "2GiB"},
		{"2048MiB", 2 << 30, "2GiB"},
		{"1536MiB", 1536 << 20, "1536MiB"},
		{"20GB", 20e9, "20GB"},
		{"1kB", 1000, "1kB"},
		{"4PiB", 4 << 50, "4PiB"},
		{"007TiB", 7 << 40, "7TiB"},
		{"18446744073709551615B", math.MaxUint64, "18446744073709551615B"},
		{"16383PiB", 16383 << 50, "16383PiB"},
	} {
		got, err := ParseSize(test.text)
		if err != nil || got != test.want || got.String() != test.back {
			t.Errorf("%s: got %d, %s, %v; want %d, %s", test.text, got, got, err, test.want, test.back)
		}
	}
}

func TestASizeThatIsNone(t *testing.T) {
	const unit = `must be a whole number and a unit, such as "512MiB", "2GiB" or "20GB"`
	for text, want := range map[string]string{
		"":                      unit,
		"GiB":                   unit,
		"2":                     unit,
		"2 GiB":                 unit,
		"2gib":                  unit,
		"2G":                    unit,
		"+2GiB":                 unit,
		"-2GiB":                 unit,
		"1.5GiB":                unit,
		"1e3MiB":                unit,
		"0x10MiB":               unit,
		"１GiB":                  unit,
		"2GiB ":                 unit,
		"0GiB":                  "must be greater than zero",
		"18446744073709551616B": "is more than 64 bits can count",
		"16384PiB":              "is more than 64 bits can count",
	} {
		if size, err := ParseSize(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, %v; want %s", text, size, err, want)
		}
	}
}

func TestAMACIsReadAndWritten(t *testing.T) {
	for text, want := range map[string]string{
		"52:54:00:53:52:b1": "52:54:00:53:52:b1",
		"52-54-00-53-52-B1": "52:54:00:53:52:b1",
		"fe:ff:ff:ff:ff:ff": "fe:ff:ff:ff:ff:ff",
	} {
		if mac, err := ParseMAC(text); err != nil || mac.String() != want || mac.HardwareAddr().String() != want {
			t.Errorf("%s: got %v, %v; want %s", text, mac, err, want)
		}
	}
}

// The hashes are those of `printf 'qlaunch mac\n…' | sha256sum`.
func TestAStableMACFollowsItsRecipe(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef"
	for _, test := range []struct {
		id    string
		uid   int
		name  string
		index int
		want  string
	}{
		{id, 1000, "guestvm", 0, "52:54:00:ef:c1:aa"},
		{id, 1000, "guestvm", 1, "52:54:00:aa:1a:f7"},
		{id, 1000, "guestvm2", 0, "52:54:00:a0:1f:de"},
		{id, 1001, "guestvm", 0, "52:54:00:b7:8d:c5"},
		{"", 1000, "guestvm", 0, "52:54:00:f4:b1:ca"},
	} {
		if got := StableMAC(test.id, test.uid, test.name, test.index).String(); got != test.want {
			t.Errorf("%v: got %s", test, got)
		}
	}
}

func TestAUUIDIsReadAndWritten(t *testing.T) {
	const want = "1f8a5b6c-0d2e-4f3a-8b7c-9d0e1f2a3b4c"
	for _, text := range []string{want, "1F8A5B6C-0D2E-4F3A-8B7C-9D0E1F2A3B4C"} {
		if id, err := ParseUUID(text); err != nil || id.String() != want {
			t.Errorf("%s: got %v, %v; want %s", text, id, err, want)
		}
	}
}

// The hashes are those of `printf 'qlaunch uuid\n…' | sha256sum`, with 8 for the version and two bits for the variant.
func TestAStableUUIDFollowsItsRecipe(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef"
	for _, test := range []struct {
		id   string
		uid  int
		name string
		want string
	}{
		{id, 1000, "guestvm", "5ec0c10e-6427-8993-968d-39caa1188a4d"},
		{id, 1000, "guestvm2", "5dab3cdf-8219-89d9-943f-33eb2b8c5c5a"},
		{id, 1001, "guestvm", "da8b79b9-054c-8c13-bcbe-081869412b2f"},
	} {
		if got := StableUUID(test.id, test.uid, test.name).String(); got != test.want {
			t.Errorf("%v: got %s", test, got)
		}
	}
}

func TestAForwardIsReadAndWritten(t *testing.T) {
	for text, want := range map[string]Forward{
		"127.0.0.1:2222:22": {netip.MustParseAddrPort("127.0.0.1:2222"), 22},
		"2222:22":           {netip.MustParseAddrPort("127.0.0.1:2222"), 22},
		"0.0.0.0:1:65535":   {netip.MustParseAddrPort("0.0.0.0:1"), 65535},
	} {
		got, err := ParseForward(text)
		if err != nil || got != want {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
		if again, err := ParseForward(got.String()); err != nil || again != got {
			t.Errorf("%s: reads back as %v, %v", got, again, err)
		}
	}
}

func TestADurationIsReadAndWritten(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1m30s": 90 * time.Second, "24h": 24 * time.Hour, "1ms": time.Millisecond,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want || d.String() != want.String() {
			t.Errorf("%s: got %v, %v", text, d, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "0", "web", "web-2", "a--b", strings.Repeat("a", 48)} {
		if err := CheckName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{
		"", ".", "..", "-", "-a", "a-", "A", "a.b", "a_b", "a b", "a/b", "../x", "a\n", "\x1b", "%i", "ä",
		strings.Repeat("a", 49),
	} {
		if CheckName(name) == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
	const want = `name "../x": must be 1 to 48 of a-z, 0-9 and -, with a letter or digit at both ends`
	if err := CheckName("../x"); err.Error() != want {
		t.Errorf("got %v", err)
	}
}

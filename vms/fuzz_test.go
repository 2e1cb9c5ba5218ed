package vms

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzParse(f *testing.F) {
	f.Add(read(f, "testdata/reference.toml"))
	f.Add([]byte("disk = [{path = \"a\"}, 1]\nnic.type = 1\n\"\" = 2"))
	f.Fuzz(func(t *testing.T, data []byte) {
		env := hostEnv()
		vm, err := Parse(data, env)
		if err != nil {
			checkErrors(t, err)
			return
		}
		again, err := Parse(Format(vm), env)
		if err != nil {
			t.Fatalf("%v\n%s", err, Format(vm))
		}
		if diff := cmp.Diff(vm, again, cmp.Comparer(sameForward)); diff != "" {
			t.Error(diff)
		}
	})
}

// checkErrors holds what is true of every mistake: it has a place, and a text
// that can be shown on a terminal.
func checkErrors(t *testing.T, err error) {
	t.Helper()
	all, ok := errors.AsType[Errors](err)
	if !ok || len(all) == 0 {
		t.Fatalf("not an Errors: %v", err)
	}
	for _, e := range all {
		if e.Line < 1 || e.Column < 1 || e.File == "" {
			t.Errorf("no place: %+v", e)
		}
	}
}

func FuzzSize(f *testing.F) {
	f.Add("2GiB")
	f.Fuzz(func(t *testing.T, text string) {
		size, err := ParseSize(text)
		if err != nil {
			return
		}
		if again, err := ParseSize(size.String()); err != nil || again != size {
			t.Errorf("%q is %d, %s, and that %d, %v", text, size, size, again, err)
		}
	})
}

func FuzzMAC(f *testing.F) {
	f.Add("52:54:00:53:52:b1")
	f.Fuzz(func(t *testing.T, text string) {
		mac, err := ParseMAC(text)
		if err != nil {
			return
		}
		if mac[0]&1 != 0 || mac == (MAC{}) {
			t.Errorf("%q is taken for the address of a card", text)
		}
		if again, err := ParseMAC(mac.String()); err != nil || again != mac {
			t.Errorf("%q is %s, and that %s, %v", text, mac, again, err)
		}
	})
}

func FuzzForward(f *testing.F) {
	f.Add("127.0.0.1:2222:22")
	f.Fuzz(func(t *testing.T, text string) {
		forward, err := ParseForward(text)
		if err != nil {
			return
		}
		if !forward.Host.Addr().Is4() || forward.Host.Port() == 0 || forward.Guest == 0 {
			t.Errorf("%q is taken for %v", text, forward)
		}
		if again, err := ParseForward(forward.String()); err != nil || again != forward {
			t.Errorf("%q is %s, and that %s, %v", text, forward, again, err)
		}
	})
}

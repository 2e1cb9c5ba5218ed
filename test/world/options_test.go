package world

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestBridgesAreReadFromTextAndWrittenAsTheSame(t *testing.T) {
	for text, want := range map[string]Bridge{
		"br0":                     {Name: "br0"},
		"br0,down":                {Name: "br0", Down: true},
		"br0=10.0.0.1/24":         {Name: "br0", Addr: netip.MustParsePrefix("10.0.0.1/24")},
		"br0=192.168.0.1/29,down": {Name: "br0", Addr: netip.MustParsePrefix("192.168.0.1/29"), Down: true},
	} {
		var got Bridge
		if err := got.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
		if back, err := got.MarshalText(); string(back) != text || err != nil {
			t.Errorf("%s: written as %s, %v", text, back, err)
		}
	}
	for text, want := range map[string]string{
		"":                `"": a bridge needs a name`,
		"=10.0.0.1/24":    `"=10.0.0.1/24": a bridge needs a name`,
		"br0,up":          `"br0,up": only "down" can follow the comma`,
		"br0=10.0.0.1":    `netip.ParsePrefix("10.0.0.1"): no '/'`,
		"br0=10.0.0.1/30": `"10.0.0.1/30": must be an IPv4 address with a length of at most 29`,
		"br0=fd00::1/64":  `"fd00::1/64": must be an IPv4 address with a length of at most 29`,
	} {
		if err := new(Bridge).UnmarshalText([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestWhatAUserNamespaceCannotShowIsRefused(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Helper: "setuid"}, `helper = "setuid": only root can make such a world`},
		{Options{Helper: "nosuid"}, `helper = "nosuid": only root can make such a world`},
		{Options{Tun: "closed"}, `tun = "closed": only root can make such a world`},
		{Options{KVM: "closed"}, `kvm = "closed": only root can make such a world`},
		{Options{DHCP: "perhaps"}, `dhcp = "perhaps": must be one of later, off, on`},
		{Options{Helper: "x"}, `helper = "x": must be one of missing, nosuid, plain, setuid`},
	} {
		if _, err := c.o.complete(false); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestARestrictionOfUserNamespacesIsNamed(t *testing.T) {
	const advice = ": an ordinary user may not make user namespaces here, so run this with sudo"
	for _, c := range []struct{ what, file, text, profile, want string }{
		{"AppArmor's", "kernel/apparmor_restrict_unprivileged_userns", "1\n", "unconfined\n", "/proc/sys/kernel/apparmor_restrict_unprivileged_userns = 1" + advice},
		{"AppArmor's, lifted by a profile", "kernel/apparmor_restrict_unprivileged_userns", "1\n", "world (unconfined)\n", ""},
		{"none", "kernel/apparmor_restrict_unprivileged_userns", "0\n", "unconfined\n", ""},
		{"Debian's", "kernel/unprivileged_userns_clone", "0\n", "", "/proc/sys/kernel/unprivileged_userns_clone = 0" + advice},
		{"the kernel's", "user/max_user_namespaces", "0\n", "", "/proc/sys/user/max_user_namespaces = 0" + advice},
		{"a number of them", "user/max_user_namespaces", "96365\n", "", ""},
	} {
		root := t.TempDir()
		plant(t, filepath.Join(root, "proc/sys", c.file), c.text)
		plant(t, filepath.Join(root, "proc/self/attr/current"), c.profile)
		got := ""
		if err := userNamespaces(root); err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Error(c.what, diff)
		}
	}
}

func plant(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

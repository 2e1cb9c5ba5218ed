package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/qlaunch/qlaunch/vms"
)

func TestAnIPv6AddressIsBracketedForSCP(t *testing.T) {
	c := &cpCmd{Source: "web:/etc/motd", Target: "motd"}
	at := netip.MustParseAddrPort("[fe80::1%virbr0]:2222")
	got := strings.Join(c.argv(vms.VM{Name: "web"}, at, true), " ")
	if want := " -P 2222 -- [fe80::1%virbr0]:/etc/motd motd"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want it to end in %q", got, want)
	}
}

func TestAColonEndsANameAsItDoesForSCP(t *testing.T) {
	for word, want := range map[string]string{
		"web:":      "web",
		"web:a:b/c": "web",
		"./web:a":   "",
		"a/b:c":     "",
		":a":        "",
		"file":      "",
		"":          "",
	} {
		if name, _, ok := inVM(word); ok != (want != "") || ok && name != want {
			t.Errorf("%q: %q, %v", word, name, ok)
		}
	}
}

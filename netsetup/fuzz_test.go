package netsetup

import (
	"net/netip"
	"strings"
	"testing"
)

// What other programs print or write is read without harm, whatever it is, and what is about another bridge says nothing
// of this one.

func FuzzAServersConfigurationIsReadWithoutHarm(f *testing.F) {
	f.Add("interface=br0\ndhcp-range=10.0.0.2,10.0.0.9,1h\ndhcp-leasefile=/x # y\n", "-i\x00br0\x00-F10.0.0.2")
	f.Add(libvirtConf, strings.ReplaceAll(nmLine, " ", "\x00"))
	f.Add("conf-file=/etc/dnsmasq.conf\nconf-dir=/,*.conf\n=\n#", "--\x00-\x00--interface")
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, conf, line string) {
		o := dnsmasqOptions{root: root}
		o.readArguments(strings.Split(line, "\x00"))
		o.readLines(conf, 0)
		served := o.serves("no-such-bridge0", []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")})
		named := strings.Contains(conf+line, "*") || strings.Contains(conf+line, "no-such-bridge0") || strings.Contains(conf+line, "192.0.2.1")
		if served && !named {
			t.Errorf("serves a bridge that nothing names: %+v", o)
		}
	})
}

func FuzzTheKernelsTablesAreReadWithoutHarm(f *testing.F) {
	f.Add("  sl  local\n  1: 00000000:0043 00000000:0000 07 0:0 0:0 0 4294967296 0 1\n")
	f.Add("Groups:\t4 24\nGid:\t1000\t1000\t1000\t1000\n")
	f.Fuzz(func(t *testing.T, text string) {
		if _, taken := wildcard(text, 67); taken && !strings.Contains(text, ":") {
			t.Error("taken without an address")
		}
		groupsIn(text)
	})
}

//go:build host

package host_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// state prints all that setting a host up may change, in a form that is the same
// as long as nothing has changed: so no counters and no times, no leases, and
// nothing of /etc/group- and its like, which are copies of what was there before.
const state = `
section() { printf '\n===== %s\n' "$*"; }
show() { section "$*"; "$@" 2>/dev/null; }
section files
find /etc /usr/local /var/lib/qlaunch /var/lib/dpkg/statoverride /usr/lib/qemu /usr/libexec -xdev \
	-not -path '/etc/*-' -printf '%p %M %u:%g %l\n' 2>/dev/null | sort
section contents
find /etc /usr/local /var/lib/qlaunch /var/lib/dpkg/statoverride /usr/lib/qemu -xdev -type f -not -path '/etc/*-' -not -name '*.leases' \
	-exec sha256sum {} + 2>/dev/null | sort -k 2
show dpkg-statoverride --list
# In an order of their own, not in that in which they were made.
nft list tables 2>/dev/null | sort | while read -r table; do show nft --stateless list $table; done
section iptables-save
iptables-save 2>/dev/null | sed '/^#/d; s/\[[0-9:]*\]//'
section sysctl
sysctl --all 2>/dev/null | grep '^net\.' |
	grep -v -e nf_conntrack_count -e tcp_fastopen_key | sort
# Not the carrier, which is there as long as a guest is, and what the kernel makes of it.
section links
ip -o link | sed 's/^[0-9]*: //; s/@if[0-9]*//; s/NO-CARRIER,//; s/,LOWER_UP//; s/ state [A-Z]*//'
section addresses
ip -o address | sed '/fe80:/d; s/^[0-9]*: //; s/valid_lft.*//'
section routes
{ ip route; ip -6 route; } | sed '/fe80:/d; s/ linkdown//'
show ip rule
show systemctl list-unit-files --no-pager --no-legend --state=enabled,disabled,masked,static 'qlaunch*' nftables.service dnsmasq.service
show systemctl list-units --no-pager --no-legend --all 'qlaunch*'
show id dev
`

// snapshot FILE: the file becomes all that setting the host up may change.
func (s *session) snapshot(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "snapshot FILE")
	text, err := s.state()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o644))
}

// state is all that setting the host up may change.
func (s *session) state() (string, error) {
	argv := s.host.Enter("sh", "-c", state)
	text, err := exec.Command(argv[0], argv[1:]...).Output()
	return string(text), err
}

func (s *session) mustState(t *testing.T) string {
	t.Helper()
	text, err := s.state()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

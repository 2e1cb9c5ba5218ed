package netsetup

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// A Kind is a kind of thing on the host that can be looked at and set. What it is like is a text, its state; the empty
// state is that of what is not there.
type Kind string

// The kinds, with the shape of their states. OWNER:GROUP are names, MODE is octal with the setuid bits: "4750".
const (
	// KindFile is a file that is wholly ours: "MODE OWNER:GROUP\n", then its content.
	KindFile Kind = "file"
	// KindShared is a file of the administrator's in which one line is ours; its state is like KindFile's.
	KindShared Kind = "line in"
	// KindDirectory is "MODE OWNER:GROUP". One that is there is good as it is.
	KindDirectory Kind = "directory"
	// KindProgram is the copy of this program: "MODE OWNER:GROUP SHA256".
	KindProgram Kind = "program"
	// KindMode is the mode of a file that somebody else installs: "MODE OWNER:GROUP".
	KindMode Kind = "mode of"
	// KindOverride is dpkg's record of a mode, dpkg-statoverride(1): "OWNER GROUP MODE".
	KindOverride Kind = "statoverride of"
	// KindGroup is "present".
	KindGroup Kind = "group"
	// KindMember is named GROUP/USER: "member".
	KindMember Kind = "member"
	// KindSysctl is the value of a sysctl now, until the next boot.
	KindSysctl Kind = "sysctl"
	// KindBridge is a bridge as [BridgeState] writes it.
	KindBridge Kind = "bridge"
	// KindTable is an nft table, named "FAMILY NAME": its ruleset. Two rulesets with the same stamps are the same.
	KindTable Kind = "nft table"
	// KindFilter is iptables' table "filter" as [FilterState] writes it. With nft's iptables the table and its chains come
	// into being with their first rule.
	KindFilter Kind = "iptables table"
	// KindChain is a chain in it, named CHAIN/FROM: the rules as `iptables -S` prints them, the jump from FROM first.
	KindChain Kind = "iptables chain"
	// KindZone is the firewalld zone of an interface.
	KindZone Kind = "firewalld zone of"
	// KindUnit is a systemd unit: "enabled active", with " outdated" when it runs with files older than they are now, or
	// "enabled inactive" for one that others start.
	KindUnit Kind = "unit"
	// KindDaemon is dnsmasq on a host without systemd, named by its configuration: "running".
	KindDaemon Kind = "dnsmasq with"
)

// An Item is one thing on the host: a file, a sysctl, a bridge.
type Item struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
}

func (i Item) String() string { return string(i.Kind) + " " + i.Name }

// Same says whether two states of the item are the same to us.
func (i Item) Same(a, b string) bool {
	switch i.Kind {
	case KindDirectory:
		return (a == "") == (b == "")
	case KindTable:
		return a == b || a != "" && b != "" && slices.Equal(stamps(a), stamps(b))
	default:
		return a == b
	}
}

// FileState is the state of a file: the permission bits with setuid, setgid and sticky, owner and group by name.
func FileState(mode fs.FileMode, owner, group string, content []byte) string {
	return ModeState(mode, owner, group) + "\n" + string(content)
}

// ModeState is the state of a mode or a directory.
func ModeState(mode fs.FileMode, owner, group string) string {
	bits := uint32(mode.Perm())
	for bit, set := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if mode&set != 0 {
			bits |= bit
		}
	}
	return fmt.Sprintf("%04o %s:%s", bits, owner, group)
}

// FilterState is the state of iptables' table: those of its own chains that are there.
func FilterState(chains ...string) string {
	chains = slices.Compact(slices.Sorted(slices.Values(chains)))
	return strings.Join(append([]string{filterHas}, chains...), " ")
}

const filterHas = "has"

// content is what a file's state has behind its mode.
func content(state string) string {
	_, text, _ := strings.Cut(state, "\n")
	return text
}

// stamped is a ruleset of nft's with a comment at each rule, made of that rule: nft prints a ruleset in words of its own
// that change with its version, but a comment as it is. So what is loaded can be told from what should be.
func stamped(ruleset string) string {
	var b strings.Builder
	for line := range strings.Lines(ruleset) {
		rule := strings.TrimSpace(line)
		if strings.HasPrefix(line, "\t\t") && !strings.HasPrefix(rule, "type ") {
			sum := sha256.Sum256([]byte(rule))
			line = fmt.Sprintf("\t\t%s comment \"qlaunch-%x\"\n", rule, sum[:4])
		}
		b.WriteString(line)
	}
	return b.String()
}

var stamp = regexp.MustCompile(`qlaunch-[0-9a-f]{8}`)

func stamps(ruleset string) []string { return stamp.FindAllString(ruleset, -1) }

package netsetup

import (
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// Do says in a line what the step changes.
func (s Step) Do() string {
	switch s.Kind {
	case KindFile, KindShared:
		return fmt.Sprintf("%s %s, %s", verb(s.From, "write", "change"), s.Name, mode(s.To))
	case KindDirectory:
		return fmt.Sprintf("make the directory %s, %s", s.Name, s.To)
	case KindProgram:
		return fmt.Sprintf("copy this program to %s, %s", s.Name, s.To[:strings.LastIndex(s.To, " ")])
	case KindMode:
		return fmt.Sprintf("set %s from %s to %s", s.Name, s.From, s.To)
	case KindOverride:
		return fmt.Sprintf("dpkg-statoverride --add %s %s", s.To, s.Name)
	case KindGroup:
		return "groupadd --system " + s.Name
	case KindMember:
		group, user, _ := strings.Cut(s.Name, "/")
		return fmt.Sprintf("gpasswd --add %s %s", user, group)
	case KindSysctl:
		return fmt.Sprintf("set %s from %s to %s", s.Name, s.From, s.To)
	case KindBridge:
		return verb(s.From, "make", "set") + " the bridge " + s.Name
	case KindTable, KindChain:
		name, _, _ := strings.Cut(s.Name, "/")
		return fmt.Sprintf("%s the %s %s", verb(s.From, "make", "replace"), s.Kind, name)
	case KindFilter:
		return fmt.Sprintf("make iptables' table %s, which %s", s.Name, s.To)
	case KindZone:
		return fmt.Sprintf("firewall-cmd --reload, after which %s is in zone %s", s.Name, s.To)
	case KindUnit:
		if s.To == idle {
			return "systemctl enable " + s.Name
		}
		return fmt.Sprintf("systemctl enable %s && systemctl restart %s", s.Name, s.Name)
	case KindDaemon:
		return "start dnsmasq with " + s.Name
	}
	return s.String()
}

func verb(from, absent, present string) string {
	if from == "" {
		return absent
	}
	return present
}

// mode is what a file's state begins with.
func mode(state string) string {
	m, _, _ := strings.Cut(state, "\n")
	return m
}

// Detail is what exactly: the difference that it makes to a file, a ruleset, a bridge; empty where [Step.Do] says it all.
func (s Step) Detail() string {
	switch s.Kind {
	case KindFile, KindShared:
		return difference(content(s.From), content(s.To))
	case KindBridge, KindChain:
		return difference(s.From+"\n", s.To+"\n")
	case KindTable:
		return difference(s.From, s.To)
	default:
		return ""
	}
}

// difference is a unified diff without its head. What is new altogether is shown as it is.
func difference(from, to string) string {
	if strings.TrimSpace(from) == "" {
		return to
	}
	_, hunks, _ := strings.Cut(string(diff.Diff("from", []byte(from), "to", []byte(to))), "\n+++ to\n")
	return hunks
}

// Undo says in a line how the step is taken back.
func (s Step) Undo() string {
	name, owner, _ := strings.Cut(s.Name, "/")
	switch {
	case s.Kind == KindShared:
		return "remove the include line from " + s.Name
	case s.Kind == KindFilter:
		return "remove the empty chains that setup created in iptables' filter table"
	case s.Kind == KindMode, s.Kind == KindSysctl:
		return fmt.Sprintf("set %s back to %s", s.Name, s.From)
	case s.From != "":
		return "put back " + s.String() + " as it was"
	case s.Kind == KindMember:
		return fmt.Sprintf("gpasswd --delete %s %s", owner, name)
	case s.Kind == KindOverride:
		return "dpkg-statoverride --remove " + s.Name
	case s.Kind == KindGroup:
		return "groupdel " + s.Name
	case s.Kind == KindUnit:
		return "systemctl disable --now " + s.Name
	case s.Kind == KindDaemon:
		return "stop dnsmasq with " + s.Name
	case s.Kind == KindZone:
		return "firewall-cmd --reload"
	case s.Kind == KindFile, s.Kind == KindProgram:
		return "remove " + s.Name
	case s.Kind == KindChain:
		return "remove the iptables chain " + name
	}
	return "remove the " + s.String()
}

// Reverse is the step that takes this one back.
func (s Step) Reverse() Step {
	s.From, s.To = s.To, s.From
	return s
}

package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/qlaunch/qlaunch/netsetup"
)

// An Item is one thing on the host: a file, a sysctl, a bridge.
type Item struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
}

func (i Item) String() string { return string(i.Kind) + " " + i.Name }

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
	// KindBridge is a bridge: a line each for its link, its MAC, accept_ra and its IPv4 addresses.
	KindBridge Kind = "bridge"
	// KindTable is an nft table, named "FAMILY NAME": its ruleset. Two rulesets with the same stamps are the same.
	KindTable Kind = "nft table"
	// KindFilter is iptables' table "filter": "has", then its own chains that are there. With nft's iptables the table and
	// its chains come into being with their first rule.
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

// A Step is one change to the host.
type Step struct {
	Item
	From, To string   // the item's states
	Why      string   // a sentence for the person who reads the plan
	Then     []string // a command that makes what runs take notice of the change, and of its undoing; may be empty
	Unseen   bool     // only root can see whether this is done already
}

// A kind is what is done with the items of one kind, and what is said of it. In its texts, {name} is the item's name,
// {first} and {second} that name around its "/", {item} the item, {from} and {to} the states, and {mode} the access
// that the second begins with.
type kind struct {
	look func(ctx context.Context, name string) (string, error)
	set  func(ctx context.Context, name, state string) error
	same func(a, b string) bool    // whether two states are the same to us; nil: equal ones are
	show func(state string) string // the part of a state whose difference a plan shows; nil: none

	make   string // what a step does
	change string // what one does where the item is there already; empty: the same
	remove string // how a step is taken back; empty: "remove the {item}"
	back   string // how one is taken back where the item was there before; empty: "put back {item} as it was"

	isPath   bool // the name is a path that root writes to, or has a program of root's read
	rootOnly bool // the programs that show it want root
	runtime  bool // a boot, or the restart of a firewall, takes it back
	byName   bool // an item bears our name, and is ours whatever it is like
}

// kinds are all of them.
func kinds() map[Kind]kind {
	return map[Kind]kind{
		KindFile: {look: prompt(lookFile), set: promptly(setFile), show: content, isPath: true,
			make: "write {name}, {mode}", change: "change {name}, {mode}", remove: "remove {name}"},
		KindShared: {look: prompt(lookFile), set: promptly(setFile), show: content, isPath: true,
			make: "write {name}, {mode}", change: "change {name}, {mode}",
			remove: "remove the include line from {name}", back: "remove the include line from {name}"},
		KindDirectory: {look: prompt(lookMode), set: promptly(setDirectory), same: bothThere, isPath: true,
			make: "make the directory {name}, {to}"},
		KindProgram: {look: prompt(lookProgram), set: promptly(setProgram), isPath: true,
			make: "copy this program to {name}, {mode}", remove: "remove {name}"},
		KindMode: {look: prompt(lookMode), set: promptly(setMode), isPath: true, runtime: true,
			make: "set {name} from {from} to {to}", back: "set {name} back to {from}"},
		KindOverride: {look: lookOverride, set: setOverride, isPath: true,
			make: "dpkg-statoverride --add {to} {name}", remove: "dpkg-statoverride --remove {name}"},
		KindGroup: {look: prompt(lookGroup), set: setGroup,
			make: "groupadd --system {name}", remove: "groupdel {name}"},
		KindMember: {look: prompt(lookMember), set: setMember,
			make: "gpasswd --add {second} {first}", remove: "gpasswd --delete {second} {first}"},
		KindSysctl: {look: prompt(lookSysctl), set: promptly(setSysctl), runtime: true,
			make: "set {name} from {from} to {to}", back: "set {name} back to {from}"},
		KindBridge: {look: prompt(lookBridge), set: promptly(setBridge), show: asLines, runtime: true, byName: true,
			make: "make the bridge {name}", change: "set the bridge {name}"},
		KindTable: {look: lookTable, set: setTable, same: sameStamps, show: asItIs, rootOnly: true, runtime: true, byName: true,
			make: "make the {item}", change: "replace the {item}"},
		KindFilter: {look: lookFilter, set: setFilter, rootOnly: true, runtime: true, byName: true,
			make:   "make iptables' table {name}, which {to}",
			remove: "remove the empty chains that setup created in iptables' filter table",
			back:   "remove the empty chains that setup created in iptables' filter table"},
		KindChain: {look: lookChain, set: setChain, show: asLines, rootOnly: true, runtime: true, byName: true,
			make: "make the iptables chain {first}", change: "replace the iptables chain {first}",
			remove: "remove the iptables chain {first}"},
		KindZone: {look: lookZone, set: setZone, rootOnly: true, byName: true,
			make: "firewall-cmd --reload, after which {name} is in zone {to}", remove: "firewall-cmd --reload"},
		KindUnit: {look: lookUnit, set: setUnit, byName: true,
			make: "systemctl enable {name} && systemctl restart {name}", remove: "systemctl disable --now {name}"},
		KindDaemon: {look: prompt(lookDaemon), set: setDaemon, isPath: true, byName: true,
			make: "start dnsmasq with {name}", remove: "stop dnsmasq with {name}"},
	}
}

// prompt is a look that waits for nobody, and so takes no ctx.
func prompt(look func(name string) (string, error)) func(context.Context, string) (string, error) {
	return func(_ context.Context, name string) (string, error) { return look(name) }
}

// promptly is the same of a set.
func promptly(set func(name, state string) error) func(context.Context, string, string) error {
	return func(_ context.Context, name, state string) error { return set(name, state) }
}

// errUnknownKind says that an item is of a kind that this version does not have: a newer one's journal can.
var errUnknownKind = errors.New("not known")

// look is the state of an item now.
func look(ctx context.Context, item Item) (string, error) {
	state, err := "", errUnknownKind
	if k, known := kinds()[item.Kind]; known {
		state, err = k.look(ctx, item.Name)
	}
	if err != nil {
		return "", fmt.Errorf("look at %s: %w", item, err)
	}
	return state, nil
}

// set makes an item what a state says, and what runs take notice of it.
func set(ctx context.Context, step Step) error {
	k, known := kinds()[step.Kind]
	if !known {
		return errUnknownKind
	}
	if k.isPath {
		if err := netsetup.Trusted(step.Name); err != nil {
			return err
		}
	}
	if err := k.set(ctx, step.Name, step.To); err != nil || len(step.Then) == 0 {
		return err
	}
	if program(step.Then[0]) == "" {
		return nil // gone since: nothing runs that could take notice
	}
	const notRunning = 252 // firewall-cmd's exit code when no firewalld is there to be told: firewall-cmd(1), NOT_RUNNING
	_, err := run(ctx, "", step.Then...)
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && step.Then[0] == "firewall-cmd" && ended.ExitCode() == notRunning {
		return nil
	}
	return err
}

// same says whether two states of the item are the same to us.
func (i Item) same(a, b string) bool {
	same := kinds()[i.Kind].same
	return a == b || same != nil && same(a, b)
}

func bothThere(a, b string) bool { return a != "" && b != "" }

// Do says in a line what the step changes.
func (s Step) Do() string {
	k := kinds()[s.Kind]
	switch {
	case s.Kind == KindUnit && s.To == unitIdle: // others start it
		return "systemctl enable " + s.Name
	case s.From != "":
		return s.fillIn(cmp.Or(k.change, k.make, "{item}"))
	}
	return s.fillIn(cmp.Or(k.make, "{item}"))
}

// Undo says in a line how the step is taken back.
func (s Step) Undo() string {
	k := kinds()[s.Kind]
	if s.From != "" {
		return s.fillIn(cmp.Or(k.back, "put back {item} as it was"))
	}
	return s.fillIn(cmp.Or(k.remove, "remove the {item}"))
}

func (s Step) fillIn(text string) string {
	first, second, _ := strings.Cut(s.Name, "/")
	access := mode(s.To)
	if words := strings.Fields(access); len(words) > 2 { // a program's has its checksum behind it
		access = strings.Join(words[:2], " ")
	}
	return strings.NewReplacer("{name}", s.Name, "{first}", first, "{second}", second, "{item}", s.String(),
		"{from}", s.From, "{to}", s.To, "{mode}", access).Replace(text)
}

// Detail is what exactly: the difference that it makes to a file, a ruleset, a bridge; empty where [Step.Do] says it
// all. What is new altogether is shown as it is.
func (s Step) Detail() string {
	show := kinds()[s.Kind].show
	if show == nil {
		return ""
	}
	from, to := show(s.From), show(s.To)
	if strings.TrimSpace(from) == "" {
		return to
	}
	_, hunks, _ := strings.Cut(string(diff.Diff("from", []byte(from), "to", []byte(to))), "\n+++ to\n")
	return hunks
}

func asItIs(state string) string { return state }

func asLines(state string) string { return state + "\n" }

// Reverse is the step that takes this one back.
func (s Step) Reverse() Step {
	s.From, s.To = s.To, s.From
	return s
}

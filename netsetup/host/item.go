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

// A Kind is a kind of item that can be read and set. The state of an item is a text, empty if the item does not exist.
type Kind string

// The kinds, with the format of their states. OWNER:GROUP are names, MODE is octal with the setuid bits: "4750".
const (
	// KindFile is a file that is entirely ours: "MODE OWNER:GROUP\n", then its content.
	KindFile Kind = "file"
	// KindShared is a file of the administrator with one line of ours. The state is that of KindFile.
	KindShared Kind = "line in"
	// KindDirectory is "MODE OWNER:GROUP". An existing directory is not changed.
	KindDirectory Kind = "directory"
	// KindProgram is the copy of this program: "MODE OWNER:GROUP SHA256".
	KindProgram Kind = "program"
	// KindMode is the mode of a file that another program installs: "MODE OWNER:GROUP".
	KindMode Kind = "mode of"
	// KindOverride is dpkg's record of a mode, dpkg-statoverride(1): "OWNER GROUP MODE".
	KindOverride Kind = "statoverride of"
	// KindGroup is "present".
	KindGroup Kind = "group"
	// KindMember is named GROUP/USER: "member".
	KindMember Kind = "member"
	// KindSysctl is the present value of a sysctl, which lasts until the next boot.
	KindSysctl Kind = "sysctl"
	// KindBridge is a bridge: one line each for its link, its MAC, accept_ra and its IPv4 addresses.
	KindBridge Kind = "bridge"
	// KindTable is an nft table, named "FAMILY NAME": its ruleset. Rulesets with the same stamps are equal.
	KindTable Kind = "nft table"
	// KindFilter is iptables' table "filter": "has", then those of its built-in chains that exist. The iptables of nft
	// creates the table and its chains with their first rule.
	KindFilter Kind = "iptables table"
	// KindChain is a chain in it, named CHAIN/FROM: the rules as `iptables -S` prints them, the jump from FROM first.
	KindChain Kind = "iptables chain"
	// KindZone is the firewalld zone of an interface.
	KindZone Kind = "firewalld zone of"
	// KindUnit is a systemd unit: "enabled active", followed by " outdated" if it was started before its files were
	// last changed, or "enabled inactive" for a unit that other units start.
	KindUnit Kind = "unit"
	// KindDaemon is dnsmasq on a host without systemd, named by its configuration: "running".
	KindDaemon Kind = "dnsmasq with"
)

// A Step is one change to the host.
type Step struct {
	Item
	From, To string   // the item's states
	Why      string   // a sentence for the reader of the plan
	Then     []string // a command that makes running programs apply the change, also after its undoing; may be empty
	Unseen   bool     // only root can see whether the step is already done
}

// A kind has the functions and the texts for the items of one kind. In the texts, {name} is the item's name, {first}
// and {second} are the parts of the name before and after its "/", {item} is the item, {from} and {to} are the states,
// and {mode} is the access at the beginning of the second state.
type kind struct {
	look func(ctx context.Context, name string) (string, error)
	set  func(ctx context.Context, name, state string) error
	same func(a, b string) bool    // whether two states are equivalent; nil compares the texts
	show func(state string) string // the part of a state whose differences a plan shows; nil for none

	make   string // what a step does
	change string // what a step does to an existing item; empty: the same
	remove string // how a step is undone; empty: "remove the {item}"
	back   string // how a step on an existing item is undone; empty: "put back {item} as it was"

	isPath   bool // the name is a path that root, or a program of root, writes or reads
	rootOnly bool // only root can read it
	runtime  bool // a boot or the restart of a firewall reverts it
	byName   bool // the item has our name, and is ours in any state
}

// kinds returns all kinds.
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

// prompt adapts a look function that never blocks and so takes no ctx.
func prompt(look func(name string) (string, error)) func(context.Context, string) (string, error) {
	return func(_ context.Context, name string) (string, error) { return look(name) }
}

// promptly adapts a set function in the same way.
func promptly(set func(name, state string) error) func(context.Context, string, string) error {
	return func(_ context.Context, name, state string) error { return set(name, state) }
}

// errUnknownKind means that this version does not have the kind of an item, as in the journal of a newer version.
var errUnknownKind = errors.New("not known")

// look returns the present state of an item.
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

// set sets the state of an item and runs the command that applies the change.
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

// same reports whether two states of the item are equivalent.
func (i Item) same(a, b string) bool {
	same := kinds()[i.Kind].same
	return a == b || same != nil && same(a, b)
}

func bothThere(a, b string) bool { return a != "" && b != "" }

// Do returns one line that says what the step changes.
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

// Undo returns one line that says how the step is undone.
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

// Detail returns the exact change to a file, a ruleset or a bridge, as a difference, or as the whole text for a new
// item. It is empty if [Step.Do] is complete.
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

// Reverse returns the step that undoes this one.
func (s Step) Reverse() Step {
	s.From, s.To = s.To, s.From
	return s
}

package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/qlaunch/qlaunch/netsetup"
)

// Reattach makes taps of VMs ports of a bridge again, after that was removed and made anew: the kernel leaves such a
// tap up and a port of nothing. It needs root: [ErrNotRoot]. The error joins those of the taps that stay as they are.
//
// Root takes nobody's word for what it gives a tap access to. A tap counts if it is a port of nothing, does not outlive
// its process and has no owner, as the bridge helper makes it; its process, in this network namespace, says that it was
// of this bridge; and the bridge helper, run as that process's user with that process's groups, gives out a tap on the
// bridge now. So a user gets no more than the ACL gives him at any time, and that on a tap of his own.
func Reattach(ctx context.Context, bridge string) ([]Guest, error) {
	if os.Geteuid() != 0 {
		return nil, ErrNotRoot
	}
	loose, err := looseTaps()
	if err != nil || len(loose) == 0 {
		return nil, err
	}
	helper, err := netsetup.FindHelper("")
	if err != nil {
		return nil, err
	}
	b, err := netsetup.FindBridge(bridge)
	if err != nil {
		return nil, err
	}
	var back []Guest
	var left []error
	for _, c := range claims(bridge) {
		link, ok := loose[c.Tap]
		if !ok {
			continue
		}
		delete(loose, c.Tap)
		err := netsetup.TryTap(ctx, helper, bridge, c.uid, append([]uint32{c.gid}, c.groups...))
		if err == nil {
			err = netlink.LinkSetMasterByIndex(link, b.Index)
		}
		if err != nil {
			left = append(left, fmt.Errorf("%s of %s, pid %d of %s: %w", c.Tap, c.Name, c.PID, c.User, err))
			continue
		}
		back = append(back, c.Guest)
	}
	return back, errors.Join(left...)
}

// looseTaps are the taps that are a port of nothing and live as long as their process, by name.
func looseTaps() (map[string]netlink.Link, error) {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, err
	}
	loose := map[string]netlink.Link{}
	for _, l := range links {
		tap, ok := l.(*netlink.Tuntap)
		if ok && tap.Mode == netlink.TUNTAP_MODE_TAP && tap.MasterIndex == 0 && tap.NonPersist && tap.Owner == 0 && tap.Group == 0 {
			loose[tap.Name] = l
		}
	}
	return loose, nil
}

// A claim is a tap that a process holds, and says to be of a bridge.
type claim struct {
	Guest
	uid, gid uint32 // the process's real ones: /proc/PID/status, which is the kernel's word
	groups   []uint32
}

// claims are those of all processes for one bridge.
func claims(bridge string) []claim {
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return nil
	}
	processes, _ := filepath.Glob("/proc/[0-9]*") // the pattern is a constant
	var all []claim
	for _, dir := range processes {
		pid, _ := strconv.Atoi(filepath.Base(dir)) // digits, by the pattern
		if net, err := os.Readlink(dir + "/ns/net"); err != nil || net != home {
			continue // its taps are others of the same names
		}
		environ, _ := os.ReadFile(dir + "/environ")
		said := saidTaps(environ, bridge)
		if len(said) == 0 {
			continue
		}
		held := netsetup.Taps(pid)
		for _, tap := range said {
			c := claim{Guest: holder(dir, pid)}
			status, err := os.ReadFile(dir + "/status")
			if err != nil || !slices.Contains(held, tap) || !c.identify(status) {
				continue
			}
			c.Tap = tap
			all = append(all, c)
		}
	}
	return all
}

// saidTaps reads [netsetup.TapsVariable] out of a process's environment: its taps on a bridge.
func saidTaps(environ []byte, bridge string) []string {
	var taps []string
	for variable := range bytes.SplitSeq(environ, []byte{0}) {
		value, ok := strings.CutPrefix(string(variable), netsetup.TapsVariable+"=")
		if !ok {
			continue
		}
		for word := range strings.FieldsSeq(value) {
			if tap, of, _ := strings.Cut(word, "="); of == bridge {
				taps = append(taps, tap)
			}
		}
	}
	return taps
}

// identify reads whose process it is out of /proc/PID/status, proc_pid_status(5).
func (c *claim) identify(status []byte) bool {
	found := 0
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		var ids []uint32
		for field := range strings.FieldsSeq(value) {
			id, err := strconv.ParseUint(field, 10, 32)
			if err != nil {
				break
			}
			ids = append(ids, uint32(id))
		}
		switch {
		case key == "Uid" && len(ids) == 4:
			c.uid = ids[0]
		case key == "Gid" && len(ids) == 4:
			c.gid = ids[0]
		case key == "Groups":
			c.groups = ids
		default:
			continue
		}
		found++
	}
	return found == 3
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qlaunch/qlaunch/vms"
)

// sshEntryFile is the name of a VM's entry for ssh_config(5) in its data directory. An Include at the top of ~/.ssh/config names
// these files of all VMs: what goes with a VM, goes with its entry.
const sshEntryFile = "ssh_config"

// sshEntry is a VM's entry for ssh_config(5), by some names. ref is what qlaunch knows the VM by.
func (s *session) sshEntry(ctx context.Context, vm vms.VM, hosts ...string) (string, error) {
	options, err := s.sshOptions(ctx, vm)
	if err != nil {
		return "", err
	}
	ref := vm.Name
	if vm.File != s.store.Path(vm.Name) {
		ref = vm.File
	}
	proxy, err := s.proxyOptions(false, ref)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Host %s\n", strings.Join(hosts, " "))
	for _, o := range append(options, proxy...) {
		fmt.Fprintf(&b, "  %s %s\n", o.key, o.value)
	}
	return b.String(), nil
}

// startedSSHEntry keeps the entry of a VM that has just been started. Without it the VM runs as well.
func (s *session) startedSSHEntry(ctx context.Context, vm vms.VM) {
	include, err := s.sshInclude(ctx)
	changed := false
	if err == nil {
		changed, err = s.keepSSHEntry(ctx, vm, include)
	}
	switch installed := hasInclude(include); {
	case !installed:
	case err != nil:
		s.notice("%s: its entry for ssh is not up to date: %v", vm.Name, err)
	case changed:
		s.noticeClaimed(vm.Name, include)
	}
}

// keepSSHEntry writes a VM's entry into its data directory, unless the same is there. A name that the user's own configuration
// has an entry for stays that one's. The caller holds the VM's lock.
func (s *session) keepSSHEntry(ctx context.Context, vm vms.VM, include sshInclude) (changed bool, err error) {
	hosts := []string{vm.Name, sshHost(vm)}
	if include.claimedBy(vm.Name) != "" {
		hosts = hosts[1:]
	}
	entry, err := s.sshEntry(ctx, vm, hosts...)
	if err != nil {
		return false, err
	}
	file := filepath.Join(vm.DataDir, sshEntryFile)
	if now, err := vms.ReadFile(file); err == nil && string(now) == entry {
		return false, nil
	}
	return true, writeSSHEntry(file, entry)
}

// noticeClaimed says that ssh knows a VM by one name alone, the other being taken.
func (s *session) noticeClaimed(name string, include sshInclude) {
	if by := include.claimedBy(name); by != "" {
		s.notice("%s: %s has an entry of its own for this name, so ssh knows the VM as qlaunch-%s alone", name, by, name)
	}
}

// writeSSHEntry writes an entry, whole or not at all: a half one would be an error to every ssh of the user. The draft has one
// name, so that what a killed command leaves of it is the next one's to finish.
func writeSSHEntry(file, entry string) error {
	draft := file + ".new"
	err := os.WriteFile(draft, []byte(entry), 0o600)
	if err == nil {
		err = os.Rename(draft, file)
	}
	if err != nil {
		_ = os.Remove(draft)
	}
	return err
}

// sshInclude is the line by which the user's ssh reads the entries of all VMs.
type sshInclude struct {
	home    string
	file    string   // the user's configuration
	files   []string // all that his ssh reads
	pattern string   // the entries of all VMs
}

// sshInclude finds what the user's ssh reads: it goes by the passwd entry, whatever HOME says.
func (s *session) sshInclude(ctx context.Context) (sshInclude, error) {
	who, err := findAccount(ctx, s.store.UID)
	if err != nil {
		return sshInclude{}, err
	}
	dir := filepath.Join(s.store.Dirs.Data, "vms")
	if strings.Contains(dir, "${") || strings.ContainsAny(dir, "%*?[]\\\"'\n") {
		return sshInclude{}, fmt.Errorf("%s: ssh's Include would read a character of it as something else", dir)
	}
	if rest, ok := strings.CutPrefix(dir, who.HomeDir+"/"); ok {
		dir = "~/" + rest
	}
	files := sshConfigs(who.HomeDir, s.root)
	return sshInclude{home: who.HomeDir, file: files[0], files: files, pattern: dir + "/*/" + sshEntryFile}, nil
}

func (i sshInclude) line() string {
	if strings.ContainsAny(i.pattern, " \t#") {
		return `Include "` + i.pattern + `"`
	}
	return "Include " + i.pattern
}

// claimedBy is the file that has an entry of its own for a name, or makes one the host itself; empty when none has.
func (i sshInclude) claimedBy(name string) string {
	if name == "localhost" {
		return "/etc/hosts"
	}
	config := sshConfig{home: i.home, ours: i.pattern}
	at := slices.IndexFunc(i.files, func(file string) bool { return config.claims(file, name) })
	if at < 0 {
		return ""
	}
	return i.files[at]
}

// hasInclude tells whether the user's configuration has the line.
func hasInclude(i sshInclude) bool {
	text, err := vms.ReadFile(i.file)
	return err == nil && slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool { return strings.TrimSpace(line) == i.line() })
}

package launcher

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qlaunch/qlaunch/vms"
)

// sshEntryFile is the name of a VM's entry for ssh_config(5) in its data directory. An Include at the top of
// ~/.ssh/config names these files of all VMs, so a VM that is removed takes its entry along.
const sshEntryFile = "ssh_config"

// sshEntry gives a VM's entry for ssh_config(5), under the given host names.
func sshEntry(ctx context.Context, e *Env, vm vms.VM, hosts ...string) (string, error) {
	options, err := sshOptions(ctx, e, vm)
	if err != nil {
		return "", err
	}
	ref := vm.Name
	if vm.File != e.Store.Path(vm.Name) {
		ref = vm.File
	}
	proxy, err := proxyOptions(e, false, ref)
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

// refreshSSHEntry writes the entry of a VM that has just been started. That it cannot is no reason to fail the start.
func refreshSSHEntry(ctx context.Context, e *Env, vm vms.VM) {
	include, err := findSSHInclude(ctx, e)
	changed := false
	if err == nil {
		changed, err = keepSSHEntry(ctx, e, vm, include)
	}
	switch installed := hasInclude(include); {
	case !installed:
	case err != nil:
		e.notice("%s: its entry for ssh is not up to date: %v", vm.Name, err)
	case changed:
		noticeClaimed(e, vm.Name, include)
	}
}

// keepSSHEntry writes a VM's entry into its data directory, unless the same is there. A name for which the user's own
// configuration has an entry is left to that. The caller holds the VM's lock.
func keepSSHEntry(ctx context.Context, e *Env, vm vms.VM, include sshInclude) (changed bool, err error) {
	hosts := []string{vm.Name, sshHost(vm)}
	if include.claimedBy(vm.Name) != "" {
		hosts = hosts[1:]
	}
	entry, err := sshEntry(ctx, e, vm, hosts...)
	if err != nil {
		return false, err
	}
	file := filepath.Join(vm.DataDir, sshEntryFile)
	if now, err := vms.ReadFile(file); err == nil && string(now) == entry {
		return false, nil
	}
	return true, writeSSHEntry(file, entry)
}

// noticeClaimed says that ssh knows a VM only as qlaunch-NAME, since the user's configuration has an entry for NAME.
func noticeClaimed(e *Env, name string, include sshInclude) {
	if by := include.claimedBy(name); by != "" {
		e.notice("%s: %s has an entry of its own for this name, so ssh knows the VM as qlaunch-%s alone",
			name, by, name)
	}
}

// writeSSHEntry writes an entry, whole or not at all: half an entry would be an error in every ssh of the user. The
// draft always has the same name, so that the next command overwrites what a killed one left.
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
	files   []string // every file that ssh reads
	pattern string   // the entries of all VMs
}

// findSSHInclude finds the configuration that the user's ssh reads. ssh takes the home directory from the passwd
// entry, whatever HOME is.
func findSSHInclude(ctx context.Context, e *Env) (sshInclude, error) {
	who, err := findAccount(ctx, e.Store.UID)
	if err != nil {
		return sshInclude{}, err
	}
	dir := filepath.Join(e.Store.Dirs.Data, "vms")
	if strings.Contains(dir, "${") || strings.ContainsAny(dir, "%*?[]\\\"'\n") {
		return sshInclude{}, fmt.Errorf("%s: ssh's Include would read a character of it as something else", dir)
	}
	if rest, ok := strings.CutPrefix(dir, who.HomeDir+"/"); ok {
		dir = "~/" + rest
	}
	files := sshConfigs(who.HomeDir, e.Root)
	return sshInclude{home: who.HomeDir, file: files[0], files: files, pattern: dir + "/*/" + sshEntryFile}, nil
}

func (i sshInclude) line() string {
	if strings.ContainsAny(i.pattern, " \t#") {
		return `Include "` + i.pattern + `"`
	}
	return "Include " + i.pattern
}

// claimedBy gives the file that has an entry of its own for a name, or that says that the name is this host's; ""
// when none has.
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
	if err != nil {
		return false
	}
	isInclude := func(line string) bool { return strings.TrimSpace(line) == i.line() }
	return slices.ContainsFunc(strings.Split(string(text), "\n"), isInclude)
}

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

// sshEntryFile is the name of a VM's entry for ssh_config(5), in its data directory. An Include at the top of
// ~/.ssh/config reads these files of all VMs, so the entry is removed together with its VM.
const sshEntryFile = "ssh_config"

// sshEntry returns a VM's entry for ssh_config(5) with these host names.
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

// refreshSSHEntry writes the entry of a VM that was just started. A failure does not make the start fail.
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
		noticeShadowed(e, vm.Name, include)
	}
}

// keepSSHEntry writes a VM's entry to its data directory, unless it is up to date. It leaves out a name that has an
// entry in the user's own configuration. The caller holds the VM's lock.
func keepSSHEntry(ctx context.Context, e *Env, vm vms.VM, include sshInclude) (changed bool, err error) {
	hosts := []string{vm.Name, sshHost(vm)}
	if include.shadowedBy(vm.Name) != "" {
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

// noticeShadowed says that ssh knows a VM only as qlaunch-NAME, since the user's configuration has an entry for NAME.
func noticeShadowed(e *Env, name string, include sshInclude) {
	if by := include.shadowedBy(name); by != "" {
		e.notice("%s: %s has an entry of its own for this name, so ssh knows the VM as qlaunch-%s alone",
			name, by, name)
	}
}

// writeSSHEntry writes an entry atomically: an incomplete entry would be an error in every ssh of the user. The draft
// always has the same name, so that the next command overwrites one that a killed command left.
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

// sshInclude is the line with which the user's ssh reads the entries of all VMs.
type sshInclude struct {
	home    string
	file    string   // the user's configuration
	files   []string // every file that ssh reads
	pattern string   // the entries of all VMs
}

// findSSHInclude finds the configuration that the user's ssh reads. ssh takes the home directory from the passwd
// entry, not from HOME.
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

// shadowedBy returns the file that has an entry of its own for a name, or that maps the name to this host; "" if there
// is none.
func (i sshInclude) shadowedBy(name string) string {
	if name == "localhost" {
		return "/etc/hosts"
	}
	config := sshConfig{home: i.home, ours: i.pattern}
	at := slices.IndexFunc(i.files, func(file string) bool { return config.hasEntry(file, name) })
	if at < 0 {
		return ""
	}
	return i.files[at]
}

// hasInclude reports whether the user's configuration has the line.
func hasInclude(i sshInclude) bool {
	text, err := vms.ReadFile(i.file)
	if err != nil {
		return false
	}
	isInclude := func(line string) bool { return strings.TrimSpace(line) == i.line() }
	return slices.ContainsFunc(strings.Split(string(text), "\n"), isInclude)
}

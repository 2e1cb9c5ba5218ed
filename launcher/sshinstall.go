package launcher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// InstallSSHConfig adds one Include at the top of the user's ~/.ssh/config, with which ssh knows all VMs, including
// those that are created later: each start writes its VM's entry. The error is a [*SSHConfigError] if qlaunch cannot
// write the file.
func InstallSSHConfig(ctx context.Context, e *Env) error {
	include, err := findSSHInclude(ctx, e)
	if err != nil {
		return err
	}
	if err := trySSHEntry(ctx, e); err != nil {
		return err
	}
	names, err := e.Store.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := lockedSSHEntry(ctx, e, name, include); err != nil {
			e.notice("%s: has no entry until its next start: %v", name, err)
		}
		noticeShadowed(e, name, include)
	}
	return editSSHConfig(include, func(text []byte, isThere bool) ([]byte, error) {
		now, first := addInclude(text, include.line(), isThere)
		if !first {
			e.notice("%s: what stands before %q comes first", include.file, include.line())
		}
		return now, nil
	})
}

// entryDeadline is how long to wait for a command that holds the VM's lock. If it starts the VM, it writes the entry
// itself.
const entryDeadline = 5 * time.Second

// lockedSSHEntry calls keepSSHEntry while it holds the VM's lock.
func lockedSSHEntry(ctx context.Context, e *Env, name string, include sshInclude) error {
	vm, err := Load(e, name)
	if err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, entryDeadline)
	defer cancel()
	lock, err := qemu.MakeAndAcquire(waiting, vm, qemu.CommandEntry)
	if err != nil {
		return err
	}
	if vm, err = Load(e, name); err == nil { // while it waited for the lock, the VM may have been removed
		_, err = keepSSHEntry(ctx, e, vm, include)
	}
	return errors.Join(err, lock.Release())
}

// UninstallSSHConfig removes the line that InstallSSHConfig wrote. The entries are removed with their VMs.
func UninstallSSHConfig(ctx context.Context, e *Env) error {
	include, err := findSSHInclude(ctx, e)
	if err != nil {
		return err
	}
	return editSSHConfig(include, func(text []byte, _ bool) ([]byte, error) {
		return removeInclude(text, include.line()), nil
	})
}

// trySSHEntry lets ssh parse an entry: an option that it does not support would break every ssh of the user.
func trySSHEntry(ctx context.Context, e *Env) error {
	vm := vms.VM{Name: "try", File: e.Store.Path("try"), DataDir: "/try", SSH: vms.SSH{Port: 22}}
	entry, err := sshEntry(ctx, e, vm, "qlaunch-try")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "ssh", "-F", "/dev/stdin", "-G", "qlaunch-try")
	cmd.Stdin = strings.NewReader(entry)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("this ssh does not know all that the entries say, which OpenSSH 8.7 and later do: %s",
			bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

// addInclude puts the line at the top, once, and reports whether it is the first line that has an effect. If the file
// existed, an empty line follows, so that removeInclude can distinguish the file from one that was created for the
// line. A line within the block of some hosts applies only to them, so it is moved to the top.
func addInclude(text []byte, line string, isThere bool) (now []byte, first bool) {
	only := true
	for l := range bytes.Lines(text) {
		l = bytes.TrimSpace(l)
		keyword, _ := sshWords(string(l))
		switch {
		case string(l) == line:
			return text, only
		case keyword == "host" || keyword == "match":
			return append([]byte(line+"\n\n"), withoutInclude(text, line)...), true
		}
		only = only && keyword == ""
	}
	if !isThere {
		return []byte(line + "\n"), true
	}
	return append([]byte(line+"\n\n"), text...), true
}

// removeInclude returns the text without the line, wherever it is by now, and nil for a file that was created for the
// line and contains nothing else.
func removeInclude(text []byte, line string) []byte {
	if string(text) == line+"\n" {
		return nil
	}
	if rest, ok := bytes.CutPrefix(text, []byte(line+"\n\n")); ok {
		return append([]byte{}, rest...)
	}
	return withoutInclude(text, line)
}

func withoutInclude(text []byte, line string) []byte {
	kept := []byte{}
	for l := range bytes.Lines(text) {
		if string(bytes.TrimSpace(l)) != line {
			kept = append(kept, l...)
		}
	}
	return kept
}

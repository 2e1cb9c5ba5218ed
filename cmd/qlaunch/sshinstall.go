package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

// installSSH has the user's ssh know all VMs, also those that are made later: each start writes its VM's entry.
func (s *session) installSSH(ctx context.Context) error {
	include, err := s.sshInclude(ctx)
	if err != nil {
		return err
	}
	if err := s.trySSHEntry(ctx); err != nil {
		return err
	}
	names, err := s.store.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.claimSSHEntry(ctx, name, include); err != nil {
			s.notice("%s: has no entry until its next start: %v", name, err)
		}
		s.noticeClaimed(name, include)
	}
	return editSSHConfig(include, func(text []byte, isThere bool) ([]byte, error) {
		now, first := addInclude(text, include.line(), isThere)
		if !first {
			s.notice("%s: what stands before %q comes first", include.file, include.line())
		}
		return now, nil
	})
}

// entryDeadline is how long a command at work on a VM is waited for. One that starts it writes the entry itself.
const entryDeadline = 5 * time.Second

// claimSSHEntry is keepSSHEntry for a VM whose lock nobody holds yet.
func (s *session) claimSSHEntry(ctx context.Context, name string, include sshInclude) error {
	vm, err := s.load(name)
	if err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, entryDeadline)
	defer cancel()
	lock, err := launcher.Claim(waiting, vm, launcher.CommandEntry)
	if err != nil {
		return err
	}
	if vm, err = s.load(name); err == nil { // what was waited for may have been its removal
		_, err = s.keepSSHEntry(ctx, vm, include)
	}
	return errors.Join(err, lock.Release())
}

// uninstallSSH takes back what installSSH has written. The entries go with their VMs.
func (s *session) uninstallSSH(ctx context.Context) error {
	include, err := s.sshInclude(ctx)
	if err != nil {
		return err
	}
	return editSSHConfig(include, func(text []byte, _ bool) ([]byte, error) {
		return removeInclude(text, include.line()), nil
	})
}

// trySSHEntry has ssh read an entry: a word that it does not know would end every ssh of the user.
func (s *session) trySSHEntry(ctx context.Context) error {
	entry, err := s.sshEntry(ctx, vms.VM{Name: "try", File: s.store.Path("try"), DataDir: "/try", SSH: vms.SSH{Port: 22}}, "qlaunch-try")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "ssh", "-F", "/dev/stdin", "-G", "qlaunch-try")
	cmd.Stdin = strings.NewReader(entry)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("this ssh does not know all that the entries say, which OpenSSH 8.7 and later do: %s", bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

// addInclude puts the line at the top, once, and tells whether nothing that counts stands before it. A file that was there
// gets an empty line behind it, by which removeInclude knows it from one that was made for the line. A line that stands in
// the block of some hosts counts for those alone, and moves to the top.
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

// removeInclude is a file without the line, wherever that is by now; nil when nothing is left of a file that was made for it.
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

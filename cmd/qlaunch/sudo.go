package main

import (
	"fmt"
	"strings"
)

// sudoError says that root, with sudo, runs a command that is for an ordinary user: root would get VMs of its own, or
// leave root's files in the user's directories.
type sudoError struct {
	command string
	line    []string // the command line without sudo
}

func (e *sudoError) Error() string {
	return fmt.Sprintf("%s: run it as yourself: only net setup and net teardown need root", e.command)
}

func (e *sudoError) hint() string { return shellLine(e.line) }

// notBySudo refuses a command that was run with sudo (SUDO_UID, sudo(8)), unless it is about the host.
func (s *session) notBySudo(command string, argv []string) error {
	if caller := getenv(s.env.Environ, "SUDO_UID"); s.env.Store.UID != 0 || caller == "" || caller == "0" {
		return nil
	}
	if command == "doctor" || ofHost(command) {
		return nil
	}
	return &sudoError{command, append([]string{"qlaunch"}, argv...)}
}

// ofHost reports whether a command has nothing to do with a user's VMs.
func ofHost(command string) bool {
	switch first, _, _ := strings.Cut(command, " "); first {
	case "net", "completion", "version":
		return true
	}
	return false
}

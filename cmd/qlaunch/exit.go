package main

import (
	"errors"
	"fmt"
)

// The exit codes. They are stable, since scripts depend on them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2 // the command line or a definition is wrong
	exitNotRunning  = 3
	exitNoVM        = 4
	exitHost        = 5 // the host is not ready: bridge, ACL, helper, KVM
	exitQEMU        = 6 // QEMU did not start
	exitBusy        = 7 // another command, or another VM, has it
	exitDeadline    = 124
	exitNoProgram   = 127 // exec's program is not in the guest: as a shell has it
	exitInterrupted = 130
)

// exitCodes is the table in `qlaunch --help`.
const exitCodes = `Exit codes: 0 ok, 1 failed, 2 usage or config, 3 not running, 4 no such VM,
5 host not ready (bridge, ACL, helper, KVM), 6 QEMU failed to start, 7 busy or
taken by another VM, 124 deadline passed, 130 interrupted. ssh, cp and exec
pass on the exit code of what they run: 255 from ssh or cp, that its connection
failed or its VM ended; 127 from exec, that there is no such program.`

// usageError is an invalid command line.
type usageError struct {
	err     error
	command string // the command whose help to show; empty: qlaunch's own
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func (e *usageError) hint() string {
	if e.command == "" {
		return "qlaunch --help"
	}
	return "qlaunch " + e.command + " --help"
}

// netError says why a command about the host's network failed. If it needs root, the hint repeats that command.
type netError struct {
	command string
	err     error
}

func (e *netError) Error() string { return fmt.Sprintf("net %s: %v", e.command, e.err) }
func (e *netError) Unwrap() error { return e.err }
func (e *netError) hint() string  { return "sudo qlaunch net " + e.command }

// exitError is an exit code without a message.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// failures are the errors of a command with several names.
type failures []error

func (f failures) Error() string { return errors.Join(f...).Error() }

// err returns the failures as an error: nil if there are none.
func (f failures) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

package main

import "fmt"

// netCmd is the host's side: its bridges.
type netCmd struct {
	Setup    netSetupCmd    `cmd:"" help:"Make the host ready for VMs on a bridge. As root."`
	Teardown netTeardownCmd `cmd:"" help:"Undo what setup did. As root."`
	Apply    netApplyCmd    `cmd:"" hidden:"" help:"Put back what a boot takes."`
	Reattach netReattachCmd `cmd:"" hidden:"" help:"Put taps back onto a bridge that was made anew."`
	Ls       netLsCmd       `cmd:"" aliases:"list" help:"List the bridges, and say which of them a VM of yours may use."`
}

func (netCmd) Example() string { return "qlaunch net ls" }

// A netError is why a command about the host's network failed. Who has to be root for it repeats that command.
type netError struct {
	command string
	err     error
}

func (e *netError) Error() string { return fmt.Sprintf("net %s: %v", e.command, e.err) }
func (e *netError) Unwrap() error { return e.err }
func (e *netError) hint() string  { return "sudo qlaunch net " + e.command }

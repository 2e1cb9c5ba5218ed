package main

// netCmd is the host's side: its bridges.
type netCmd struct {
	Setup    netSetupCmd    `cmd:"" help:"Make the host ready for VMs on a bridge. As root."`
	Teardown netTeardownCmd `cmd:"" help:"Undo what setup did. As root."`
	Apply    netApplyCmd    `cmd:"" hidden:"" help:"Put back what a boot takes."`
	Reattach netReattachCmd `cmd:"" hidden:"" help:"Put taps back onto a bridge that was made anew."`
	Ls       netLsCmd       `cmd:"" aliases:"list" help:"List the bridges, and say which of them a VM of yours may use."`
}

func (netCmd) Example() string { return "qlaunch net ls" }

package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/qlaunch/qlaunch/launcher"
)

// netCmd is the host's side: its bridges.
type netCmd struct {
	Setup    netSetupCmd    `cmd:"" help:"Make the host ready for VMs on a bridge. As root."`
	Teardown netTeardownCmd `cmd:"" help:"Undo what setup did. As root."`
	Apply    netApplyCmd    `cmd:"" hidden:"" help:"Put back what a boot takes."`
	Reattach netReattachCmd `cmd:"" hidden:"" help:"Put taps back onto a bridge that was made anew."`
	Ls       netLsCmd       `cmd:"" aliases:"list" help:"List the bridges, and say which of them a VM of yours may use."`
}

func (netCmd) Example() string { return "qlaunch net ls" }

type netLsCmd struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"Output format: ${enum}."`
}

func (netLsCmd) Help() string {
	return "Every bridge of the host: whether it is up, its addresses, whether the bridge helper lets you use it and by which line, " +
		"which program of this host serves DHCP on it, the forward delay of its spanning tree protocol, and its ports."
}

func (netLsCmd) Example() string { return "qlaunch net ls -o json" }

func (c *netLsCmd) Run(s *session) error {
	all, err := launcher.Bridges(s.env)
	if err != nil {
		return fmt.Errorf("net ls: %w", err)
	}
	if c.Output == "json" {
		return printJSON(s.stdout, all)
	}
	return printBridges(s.stdout, all)
}

func printBridges(w io.Writer, all []launcher.BridgeInfo) error {
	t := newTable(w)
	fmt.Fprintln(t, "NAME\tSTATE\tADDRESS\tDHCP\tSTP\tPORTS\tALLOWED")
	for _, b := range all {
		state, dhcp, allowed := "down", "-", "yes, "+b.Rule
		if b.Up {
			state = "up"
		}
		if b.DHCP != nil {
			dhcp = b.DHCP.Kind
			if b.DHCP.Dead {
				dhcp += " (dead)"
			}
		}
		if !b.Allowed {
			allowed = "no, " + b.Reason
		}
		stp := "off"
		if b.STP.On {
			stp = fmt.Sprintf("%gs", b.STP.ForwardDelay)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", clean(b.Name), state, listed(texts(b.Addresses)), dhcp, stp,
			clean(listed(b.Ports)), clean(allowed))
	}
	return t.Flush()
}

func texts[T fmt.Stringer](values []T) []string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = v.String()
	}
	return words
}

func listed(words []string) string { return cmp.Or(strings.Join(words, ","), "-") }

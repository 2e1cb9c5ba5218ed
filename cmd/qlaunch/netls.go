package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/qlaunch/qlaunch/netsetup"
)

type netLsCmd struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"Output format: ${enum}."`
}

func (netLsCmd) Help() string {
	return "Every bridge of the host: whether it is up, its addresses, whether the bridge helper lets you use it and by which line, " +
		"which program of this host serves DHCP on it, the forward delay of its spanning tree protocol, and its ports."
}

func (netLsCmd) Example() string { return "qlaunch net ls -o json" }

// bridgeView is what net ls tells of a bridge. Its JSON is a contract.
type bridgeView struct {
	Name      string         `json:"name"`
	Up        bool           `json:"up"`
	Addresses []netip.Prefix `json:"addresses"`
	Ports     []string       `json:"ports"`
	Allowed   bool           `json:"allowed"`
	Rule      string         `json:"rule,omitzero"`   // the line that allows it
	Reason    string         `json:"reason,omitzero"` // why it is not allowed
	DHCP      *dhcpView      `json:"dhcp,omitzero"`
	STP       stpView        `json:"stp"`
}

// stpView is a bridge's part in the spanning tree protocol.
type stpView struct {
	On           bool    `json:"on"`
	ForwardDelay float64 `json:"forward_delay_seconds,omitzero"`
}

type dhcpView struct {
	Kind     string `json:"kind"`
	Evidence string `json:"evidence"`
	PID      int    `json:"pid,omitzero"`
	Dead     bool   `json:"dead"`
	Leases   string `json:"leases,omitzero"`
}

func (c *netLsCmd) Run(s *session) error {
	bridges, err := netsetup.Bridges()
	if err != nil {
		return fmt.Errorf("net ls: %w", err)
	}
	all := make([]bridgeView, len(bridges))
	for i, b := range bridges {
		all[i] = viewBridge(s.root, b)
	}
	if c.Output == "json" {
		return printJSON(s.stdout, all)
	}
	return printBridges(s.stdout, all)
}

func viewBridge(root string, b netsetup.Bridge) bridgeView {
	view := bridgeView{Name: b.Name, Up: b.Up, Addresses: []netip.Prefix{}, Ports: append([]string{}, b.Ports...),
		STP: stpView{b.STP.On, b.STP.ForwardDelay.Seconds()}}
	for _, a := range b.Addrs {
		if !a.Addr().IsLinkLocalUnicast() {
			view.Addresses = append(view.Addresses, a)
		}
	}
	verdict, err := netsetup.Allowed(netsetup.DefaultACL, b.Name)
	if err = cmp.Or(err, verdict.Err()); err == nil {
		view.Allowed, view.Rule = true, fmt.Sprintf("%s:%d: %s", verdict.File, verdict.Line, verdict.Rule)
	} else {
		view.Reason = whyNot(err)
	}
	if server := netsetup.DHCPServer(root, b.Name); server.Kind != "" {
		view.DHCP = &dhcpView{server.Kind, server.Evidence, server.PID, server.Dead, server.Leases}
	}
	return view
}

// whyNot is an error of the ACL without the bridge, which stands beside it.
func whyNot(err error) string {
	e, ok := errors.AsType[*netsetup.Error](err)
	switch {
	case !ok:
		return err.Error()
	case errors.Is(err, netsetup.ErrDenied):
		return e.Detail
	}
	return fmt.Sprintf("%v: %s", e.Cause, e.Detail)
}

func printBridges(w io.Writer, all []bridgeView) error {
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
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", clean(b.Name), state, listed(texts(b.Addresses)), dhcp, stp, clean(listed(b.Ports)), clean(allowed))
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

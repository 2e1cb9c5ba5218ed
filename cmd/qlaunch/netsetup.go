package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/qlaunch/qlaunch/netsetup/host"
)

type netSetupCmd struct {
	Bridge     string   `help:"The bridge. Default: that of the last setup, else one that has DHCP already, libvirt's first, else qlbr0, which is made."`
	Subnet     string   `placeholder:"CIDR" help:"The subnet of a bridge of our own, or the host's address in it. Default: the first free /24."`
	User       []string `placeholder:"NAME" help:"Add users to group kvm so that they may use the bridge."`
	Isolate    *bool    `negatable:"" help:"Guests cannot reach one another."`
	HostAccess *bool    `negatable:"" help:"Guests reach every service of the host. Default: DHCP, DNS and ping alone."`
	Inbound    *bool    `negatable:"" help:"Other networks of the host may open connections to guests. Default: only the host itself may."`
	Name       []string `placeholder:"GUEST=MAC" help:"Reserve a DNS name for a MAC. Replaces the earlier list; 'none' clears it."`
	DryRun     bool     `help:"Print the plan in full, change nothing. Needs no root."`
}

func (netSetupCmd) Help() string {
	return "Makes the host ready for VMs with a NIC on a bridge: the bridge with DHCP, DNS and NAT, unless one is there; forwarding; " +
		"permission for the bridge helper; and units that bring it back at each boot. Does what is missing, and says when nothing is. " +
		"A step that fails takes back those before it. `net teardown` undoes it all."
}

func (netSetupCmd) Example() string { return "qlaunch net setup --dry-run" }

func (c *netSetupCmd) Run(ctx context.Context, s *session) error {
	ask, err := c.request()
	if err != nil {
		return err
	}
	if c.DryRun {
		err = showPlan(ctx, s, ask)
	} else {
		err = setUpHost(ctx, s, ask)
	}
	if err != nil {
		return &netError{"setup", orInterrupted(err)}
	}
	return nil
}

func (c *netSetupCmd) request() (host.Request, error) {
	ask := host.Request{Bridge: c.Bridge, Users: once(c.User),
		Isolate: c.Isolate, HostAccess: c.HostAccess, Inbound: c.Inbound}
	if len(c.Name) > 0 {
		ask.Names = []host.Name{}
	}
	for _, name := range once(c.Name) {
		guest, mac, ok := strings.Cut(name, "=")
		switch {
		case ok:
			ask.Names = append(ask.Names, host.Name{Name: guest, MAC: strings.ToLower(mac)})
		case name != "none" || len(c.Name) > 1:
			err := fmt.Errorf("--name %q: must be a name and a MAC, as in web=52:54:00:53:52:b1", name)
			return ask, &usageError{err, "net setup"}
		}
	}
	if c.Subnet == "" {
		return ask, nil
	}
	var err error
	if ask.Subnet, err = netip.ParsePrefix(c.Subnet); err != nil {
		err := fmt.Errorf("--subnet %q: must be an address and a length, as in 192.168.123.0/24", c.Subnet)
		return ask, &usageError{err, "net setup"}
	}
	return ask, nil
}

// showPlan prints all steps of the setup, in full.
func showPlan(ctx context.Context, s *session, ask host.Request) error {
	want, have, err := host.Prepare(ctx, ask)
	if err != nil {
		return err
	}
	steps := host.Plan(want, have)
	if len(steps) == 0 {
		sayDone(s.stdout, want)
		return nil
	}
	var b bytes.Buffer
	for i, step := range steps {
		fmt.Fprintf(&b, "%d. %s\n   why:  %s\n   undo: %s\n", i+1, step.Do(), step.Why, step.Undo())
		if len(step.Then) > 0 {
			fmt.Fprintf(&b, "   then: %s\n", shellLine(step.Then))
		}
		if step.Unseen {
			fmt.Fprintln(&b, "   only root can see whether this is done already")
		}
		indent(&b, step.Detail())
	}
	_, err = io.WriteString(s.stdout, clean(b.String()))
	return err
}

func indent(w io.Writer, text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(w, "     | %s\n", strings.TrimSuffix(line, "\n"))
	}
}

func sayDone(w io.Writer, want host.Spec) {
	fmt.Fprintf(w, "nothing to do: %s is set up\n", want.Bridge)
}

// setUpHost prints a summary of the plan, applies it, and tests the result as a user.
func setUpHost(ctx context.Context, s *session, ask host.Request) error {
	var want host.Spec
	var steps []host.Step
	err := host.Setup(ctx, ask, func(settled host.Spec, plan []host.Step) {
		want, steps = settled, plan
		for i, step := range plan {
			fmt.Fprintln(s.stdout, clean(fmt.Sprintf("%2d. %s", i+1, step.Do())))
		}
	})
	if err != nil {
		return err
	}
	others, err := host.Verify(ctx, want.Bridge)
	if err != nil {
		return fmt.Errorf("all of it is done, and yet: %w", err)
	}
	if len(steps) == 0 {
		sayDone(s.stdout, want)
	} else {
		sayReady(s.stdout, want)
		sayLeft(s, steps)
	}
	for _, group := range others {
		s.notice("the bridge helper or its ACL is for the group %s, and stays so: "+
			"who uses the bridge must be in that too", group)
	}
	if err := reattach(ctx, s, want.Bridge); err != nil {
		s.notice("%v", err)
	}
	return nil
}

func sayReady(w io.Writer, want host.Spec) {
	if want.Own {
		fmt.Fprintf(w, "%s is ready, %s: the group %s may use it\n", want.Bridge, want.Subnet, host.Group)
		return
	}
	fmt.Fprintf(w, "%s is ready: the group %s may use it\n", want.Bridge, host.Group)
}

// sayLeft prints what setup cannot do itself.
func sayLeft(s *session, steps []host.Step) {
	for _, step := range steps {
		_, user, _ := strings.Cut(step.Name, "/")
		switch step.Kind {
		case host.KindMember:
			s.notice("%s: log in again to be in the group %s; a user manager that lingers has it after: "+
				"sudo systemctl restart user@$(id -u %s)",
				user, host.Group, user)
		case host.KindDaemon:
			s.notice("without systemd nothing brings the bridge and its DHCP back at the next boot: " +
				"run `qlaunch net setup` again then")
		}
	}
}

// netReattachCmd is run by qlaunch-net.service when the bridge exists.
type netReattachCmd struct {
	Bridge string `required:"" help:"The bridge."`
}

func (netReattachCmd) Help() string {
	return "Makes the taps of VMs that run ports of the bridge again, after it was removed and made anew."
}

func (netReattachCmd) Example() string { return "qlaunch net reattach --bridge=qlbr0" }

func (c *netReattachCmd) Run(ctx context.Context, s *session) error {
	if err := reattach(ctx, s, c.Bridge); err != nil {
		return fmt.Errorf("net reattach: %w", orInterrupted(err))
	}
	return nil
}

// reattach prints which VMs are on the bridge again.
func reattach(ctx context.Context, s *session, bridge string) error {
	back, err := host.Reattach(ctx, bridge)
	for _, g := range back {
		fmt.Fprintln(s.stdout, clean(fmt.Sprintf("%s of %s, pid %d of %s, is a port of %s again",
			g.Tap, g.Name, g.PID, g.User, bridge)))
	}
	return err
}

// netApplyCmd is run by qlaunch-net.service.
type netApplyCmd struct {
	Bridge     string       `required:"" help:"The bridge."`
	Subnet     netip.Prefix `required:"" help:"The host's address on it."`
	Isolate    bool         `help:"Guests cannot reach one another."`
	HostAccess bool         `help:"Guests reach every service of the host."`
	Inbound    bool         `help:"Other networks of the host may open connections to guests."`
}

func (netApplyCmd) Help() string {
	return "Puts back what a boot, or the restart of a firewall, takes of what `net setup` made: the bridge, the rules around it, forwarding."
}

func (netApplyCmd) Example() string {
	return "qlaunch net apply --bridge=qlbr0 --subnet=192.168.123.1/24"
}

func (c *netApplyCmd) Run(ctx context.Context) error {
	want := host.Spec{Bridge: c.Bridge, Own: true, Subnet: c.Subnet, Forward: true,
		Isolate: c.Isolate, HostAccess: c.HostAccess, Inbound: c.Inbound}
	if err := host.Apply(ctx, want); err != nil {
		return fmt.Errorf("net apply: %w", orInterrupted(err))
	}
	return nil
}

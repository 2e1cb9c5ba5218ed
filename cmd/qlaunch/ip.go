package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/qlaunch/qlaunch/netsetup/leases"
	"github.com/qlaunch/qlaunch/vms"
)

type ipCmd struct {
	Name    string `arg:"" vm:"" help:"A VM."`
	All     bool   `help:"Print every address that is known, the likeliest first, also of the other NICs."`
	Explain bool   `help:"Show every source: where, readable or not, whether it knows the NIC, how old, and what it says."`
	Output  string `short:"o" enum:"text,json" default:"text" help:"Output format: ${enum}."`
}

func (ipCmd) Help() string {
	return "Prints the bare address. Exit code 1: none is known yet. 3: the VM does not run."
}

func (ipCmd) Example() string { return "qlaunch ip guestvm --explain" }

var (
	errNoAddress    = errors.New("no address is known yet")
	errNoBridgedNIC = errors.New("it has no bridged NIC")
)

func (c *ipCmd) Run(ctx context.Context, s *session) error {
	return of("ip", c.Name, c.run(ctx, s))
}

func (c *ipCmd) run(ctx context.Context, s *session) error {
	vm, process, err := s.alive(c.Name)
	if err != nil {
		return err
	}
	defer process.Close()
	nics := bridged(vm)
	if len(nics) == 0 {
		return errNoBridgedNIC
	}
	if !c.All {
		nics = addressed(vm)
	}
	if c.Explain {
		s.noticeImpostors(vm, process.PID)
	}
	asked := c.ask(ctx, vm, s.asked(vm, nics, process.Started))
	err = c.print(s, vm, asked)
	if err == errNoAddress { //nolint:errorlint // one that says more knows the cause
		first := asked[0]
		stage := leases.Reached(first.query, first.reports)
		err = &noAddressError{stage, s.silence(ctx, vm, process.PID, first.query, stage, first.reports)}
	}
	return err
}

// An askedNIC is a NIC with what the sources say of it.
type askedNIC struct {
	vms.NIC
	query   leases.Query
	reports []leases.Report
}

func (s *session) asked(vm vms.VM, nics []vms.NIC, started time.Time) []askedNIC {
	asked := make([]askedNIC, len(nics))
	for i, nic := range nics {
		asked[i] = askedNIC{NIC: nic, query: s.query(vm, nic, started)}
	}
	return asked
}

// ask asks all who may know. The guest itself is one of them where somebody wants to know what each says, or nobody else has an answer.
func (c *ipCmd) ask(ctx context.Context, vm vms.VM, nics []askedNIC) []askedNIC {
	for i, nic := range nics {
		nics[i].reports = leases.Ask(ctx, nic.query)
		if best, ok := likeliest(vm, nics); ok && !doubtful(best) && !c.All && !c.Explain {
			return nics
		}
	}
	t := hear(ctx, vm)
	for i, nic := range nics {
		nics[i].reports = append(nic.reports, t.report(nic.query))
	}
	return nics
}

// likeliest is the address of the guest: that of its first NIC that has one, where one of this start counts more than any other.
func likeliest(vm vms.VM, nics []askedNIC) (leases.Address, bool) {
	var old leases.Address
	found := false
	for _, nic := range nics {
		best, ok := leases.Best(nic.reports)
		switch {
		case !ok || !hasAddress(vm, nic.NIC):
		case !doubtful(best):
			return best, true
		case !found:
			old, found = best, true
		}
	}
	return old, found
}

func (c *ipCmd) print(s *session, vm vms.VM, nics []askedNIC) error {
	var reports []leases.Report
	for _, nic := range nics {
		reports = append(reports, nic.reports...)
	}
	addresses := leases.All(reports)
	best, ok := likeliest(vm, nics)
	if !c.All && ok {
		addresses = []leases.Address{best}
	}
	if ok && !c.Explain {
		s.noticeDoubt(c.Name, best)
	}
	switch {
	case c.Explain && c.Output == "json":
		return printJSON(s.stdout, reports)
	case c.Explain:
		return c.explain(s, nics, reports, best)
	case !ok && (!c.All || len(addresses) == 0):
		return noAddress(reports)
	case c.Output == "json":
		return printJSON(s.stdout, addresses)
	}
	for _, address := range addresses {
		fmt.Fprintln(s.stdout, address.IP)
	}
	return nil
}

// noAddress says why there is none: what the sources hold, and why that is refused.
func noAddress(reports []leases.Report) error {
	for _, r := range reports {
		for _, a := range r.Addresses {
			if a.IsLease() && a.Refused != "" {
				return fmt.Errorf("%w: %s: %s", errNoAddress, a.IP, a.Refused)
			}
		}
	}
	return errNoAddress
}

// noticeDoubt says what speaks against an address that is given all the same.
func (s *session) noticeDoubt(name string, a leases.Address) {
	switch {
	case a.Holder != "":
		s.notice("%s: %s was last seen at %s, which is not its NIC's MAC", name, a.IP, a.Holder)
	case stale(a):
		s.notice("%s: %s is %s", name, a.IP, unconfirmed(a))
	}
}

func (c *ipCmd) explain(s *session, nics []askedNIC, reports []leases.Report, best leases.Address) error {
	for _, nic := range nics {
		fmt.Fprintf(s.stdout, "%s on %s\n\n", nic.MAC, nic.Bridge)
	}
	if err := printReports(s.stdout, reports); err != nil {
		return err
	}
	if !best.IP.IsValid() {
		fmt.Fprintln(s.stdout, "\nno address")
		return nil
	}
	fmt.Fprintf(s.stdout, "\n%s, from %s, %s\n", best.IP, clean(best.Path), sinceWhen(best))
	return nil
}

// sinceWhen says how far an address is of this start.
func sinceWhen(a leases.Address) string {
	switch {
	case a.Freshness == leases.ThisStart:
		return "of this start"
	case a.Live:
		return "in use since this start"
	case a.Freshness == leases.Older:
		return unconfirmed(a)
	}
	return "which may be from before this start"
}

// unconfirmed says what is not known of an old address.
func unconfirmed(a leases.Address) string {
	if !a.IsLease() {
		return a.Doubt()
	}
	return "an address " + a.Doubt() + ", and not confirmed"
}

func printReports(w io.Writer, reports []leases.Report) error {
	t := newTable(w)
	fmt.Fprintln(t, "SOURCE\tWHERE\tREADABLE\tMATCHED\tAGE\tVERDICT")
	for _, r := range reports {
		readable, matched, age := "yes", "no", "-"
		if !r.Readable {
			readable = cmp.Or(r.Reason, "no")
		}
		if r.Matched {
			matched = "yes"
		}
		if r.Age > 0 {
			age = r.Age.Truncate(time.Second).String()
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Source, clean(r.Path), clean(readable), matched, age, clean(r.Verdict))
	}
	return t.Flush()
}

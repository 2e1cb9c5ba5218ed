package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
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

func (c *ipCmd) Run(ctx context.Context, s *session) error {
	known, err := launcher.Address(ctx, s.env, launcher.AddressRequest{Name: c.Name, All: c.All, Explain: c.Explain})
	if err == nil {
		err = c.print(s.stdout, known)
	}
	return of("ip", c.Name, err)
}

func (c *ipCmd) print(w io.Writer, known launcher.AddressResult) error {
	switch {
	case c.Explain && c.Output == "json":
		return printJSON(w, known.Reports)
	case c.Explain:
		return explain(w, known)
	case c.Output == "json":
		return printJSON(w, known.Addresses)
	}
	for _, address := range known.Addresses {
		fmt.Fprintln(w, address.IP)
	}
	return nil
}

// explain prints what each source has, and which address is chosen.
func explain(w io.Writer, known launcher.AddressResult) error {
	for _, nic := range known.NICs {
		fmt.Fprintf(w, "%s on %s\n\n", nic.MAC, nic.Bridge)
	}
	if err := printReports(w, known); err != nil {
		return err
	}
	if best := known.Address; best.IP.IsValid() {
		fmt.Fprintf(w, "\n%s, from %s, %s\n", best.IP, clean(best.Path), launcher.Since(best))
		return nil
	}
	fmt.Fprintln(w, "\nno address")
	return nil
}

func printReports(w io.Writer, known launcher.AddressResult) error {
	t := newTable(w)
	fmt.Fprintln(t, "SOURCE\tWHERE\tREADABLE\tMATCHED\tAGE\tVERDICT")
	for _, r := range known.Reports {
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
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n",
			r.Source, clean(r.Path), clean(readable), matched, age, clean(r.Verdict))
	}
	return t.Flush()
}

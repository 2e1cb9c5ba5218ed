// Command bench measures what qlaunch costs: side by side with QEMU by hand and with libvirt, and as the number of VMs
// grows. It makes worlds of its own (package world), runs the real guest in them, and prints one table. No test runs
// it, and nothing depends on what it prints: the times are those of the machine that it runs on.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/qlaunch/qlaunch/test/world"
)

// cli is the command line.
type cli struct {
	Pairs int    `default:"11" help:"Pairs of measurements that a row is the median of."`
	Only  string `help:"One group of rows: ${groups}."`

	Qlaunch string `arg:"" help:"The program."`
	Fake    string `arg:"" help:"What stands in for QEMU where there are a hundred: test/fakeqemu/cmd."`
	Guest   string `arg:"" help:"The directory that test/guest/build has filled."`
}

// inside is the argument 1 of the program that measures a group, in its world.
const inside = "bench-inside"

func main() {
	if code, ok := world.Main(os.Args, os.Stdin, os.Stdout, os.Stderr); ok {
		os.Exit(code)
	}
	if len(os.Args) == 4 && os.Args[1] == inside {
		os.Exit(measure(os.Args[2], os.Args[3]))
	}
	var c cli
	kong.Parse(&c, kong.Name("bench"), kong.Description("Measure what qlaunch costs."), kong.Vars{"groups": groupNames()})
	rows, err := c.run()
	if err == nil {
		err = printTable(os.Stdout, rows)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

// group is rows that are measured in one world.
type group struct {
	name    string
	world   world.Options
	measure func(*bench) error
}

func groups() []group {
	return []group{
		{"start", world.Options{}, (*bench).start},
		{"libvirt", world.Options{}, (*bench).libvirt},
		{"guest", world.Options{}, (*bench).guest},
		{"crowd", world.Options{}, (*bench).crowd},
		{"scale", world.Options{DHCP: "off", Setup: leaseFile}, (*bench).scale},
		{"disk", world.Options{}, (*bench).disk},
		{"binary", world.Options{DHCP: "off"}, (*bench).binary},
	}
}

func groupNames() string {
	var names []string
	for _, g := range groups() {
		names = append(names, g.name)
	}
	return strings.Join(names, ", ")
}

// deadline bounds a group.
const deadline = 15 * time.Minute

// run measures every group that is asked for, each in a world of its own.
func (c *cli) run() ([]row, error) {
	var rows []row
	for _, g := range groups() {
		if c.Only != "" && c.Only != g.name {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench:", g.name)
		more, err := c.inWorld(g)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", g.name, err)
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

func (c *cli) inWorld(g group) ([]row, error) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	o := g.world
	o.Copy = map[string]string{"bin/qlaunch": c.Qlaunch, "bin/fakeqemu": c.Fake, "guest": c.Guest}
	cmd, err := world.Command(ctx, o, "/proc/self/exe", inside, g.name, strconv.Itoa(c.Pairs))
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var rows []row
	return rows, json.Unmarshal(out, &rows)
}

// measure is the program in the world: it writes its rows as JSON.
func measure(name, pairs string) int {
	err := measured(os.Stdout, name, pairs)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "bench: error:", err)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		fmt.Fprintln(os.Stderr, string(exit.Stderr))
	}
	return 1
}

func measured(w io.Writer, name, pairs string) error {
	n, err := strconv.Atoi(pairs)
	if err != nil {
		return err
	}
	b, err := newBench(n)
	if err != nil {
		return err
	}
	for _, g := range groups() {
		if g.name == name {
			err = errors.Join(err, g.measure(b))
		}
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(b.rows)
}

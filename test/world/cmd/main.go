// World runs a command in a private world with a bridge, DHCP and QEMU's bridge
// helper; package world says what is in there.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/alecthomas/kong"

	"github.com/qlaunch/qlaunch/test/world"
)

// cli is the command line.
type cli struct {
	world.Options
	Argv []string `arg:"" passthrough:"" help:"The command and its arguments, after --."`
}

func main() {
	if code, ok := world.Main(os.Args, os.Stdin, os.Stdout, os.Stderr); ok {
		os.Exit(code)
	}
	var c cli
	kong.Parse(&c, kong.Name("world"), kong.Description("Run a command, as an ordinary user, in a private world with virbr0, dnsmasq and the bridge helper."))
	if c.Argv[0] == "--" { // kong leaves it where it is
		c.Argv = c.Argv[1:]
	}
	os.Exit(run(c.Options, c.Argv))
}

// run is the command's exit code.
func run(o world.Options, argv []string) int {
	o.Env = append([]string{"TERM=" + os.Getenv("TERM")}, o.Env...)
	cmd, err := world.Command(context.Background(), o, argv...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "world: error:", err)
		return world.ExitBroken
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && ended.Exited() {
		return ended.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "world: error:", err)
		return world.ExitBroken
	}
	return 0
}
